#!/bin/sh
# A whole agent in POSIX sh and curl: registers, sends heartbeats, holds its stream, acknowledges.
#
#     sh examples/04_agent.sh http://127.0.0.1:8081 my-agent my-group
#
# Then, from elsewhere:
#
#     curl -d '{"type": "config-update", "payload": {"revision": 7}}' \
#         http://127.0.0.1:8081/api/v1/agents/my-agent/commands
#
# It carries on when the server restarts, or forgets it, or the connection breaks. What has expired
# by the server's clock it does not carry out. The server may be several addresses of one registry,
# with commas between them. -q keeps the .curlrc of whoever runs it out of it; for https, curl takes
# an authority of one's own from CURL_CA_BUNDLE.
#
# Where the server asks for credentials, an enrolment token stands in CAMELEER_TOKEN, or in the file
# that CAMELEER_TOKEN_FILE names. Where it signs its commands, which takes openssl 3 to check, the
# agent carries out what its registry has signed for it, and refuses all else; docs/signed-lines.md
# has the rules. It knows the registry by its root key: from the enrolment token, from
# CAMELEER_ROOT_KEY, else from the first answer, for as long as it runs.
set -u

[ $# -eq 3 ] || { echo "usage: sh $0 SERVER AGENT-ID GROUP" >&2; exit 2; }
servers=$1 agent=$2 group=$3
protocol='X-Cameleer-Protocol-Version: 1'

# What this agent can do. $1 is the type of a command, $2 its JSON on one line, with the payload in
# it; with jq: printf '%s' "$2" | jq .payload. Its exit status decides between SUCCESS and FAILURE.
# It may set $message, in plain words without quotes and backslashes, and $data, any JSON.
obey() {
    case $1 in
    config-update) message='applied' data="{\"applied\":$2}" ;;
    deep-trace) message='tracing' ;;
    *) message='this agent cannot do that' && return 1 ;;
    esac
}

main() {
    # Processes that run beside this one, to be ended with it; empty where there is none.
    heartbeats='' stream='' watchdog='' work=''
    trap stop EXIT
    trap 'exit 0' HUP INT TERM
    events='' # where the stream is
    trap 'kill $stream 2>/dev/null' USR1 # from the heartbeats: the server had forgotten us
    umask 077
    instance=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n') # tells this process from another one
    work=${TMPDIR:-/tmp}/cameleer-agent.$instance
    mkdir -m 700 "$work" && mkfifo "$work/stream" || exit 1

    answer=$work/answer
    enrol
    pin
    use "${servers%%,*}"
    order=0                     # of the last config-update that was taken, where they are signed
    time_asked=-60000           # when the server was last asked for its time, signed
    retry=$((2000 + $(below 3000))) # ms to wait before connecting again, until a stream says
    pause=$retry longest=60000  # the same, after failures in a row; and the most of it

    register
    while :; do
        listen
        if [ $? -eq 22 ]; then # curl: an HTTP error, which here means that nobody knows us
            register
            listen
        fi
        if [ "$sent_away" ]; then
            # By a node that ends, while others go on: it has said when to come to them.
            move_on && events=$agents/$agent/events
            nap $((retry + $(below "$retry")))
        elif [ "$lasted" -ge 10 ]; then
            # A balancer has ended it, say. Soon, but not before the server has noticed the end.
            pause=$retry
            nap $((250 + $(below 500)))
        else
            back_off
        fi
    done
}

register() {
    kill $heartbeats 2>/dev/null
    while :; do
        status=$(declare_itself)
        case $status in
        200 | 201)
            ttl=$(member commandTtlMs)
            [ -z "$ttl" ] || break # else it is no registry that answers there
            ;;
        400) say "refused: $(cat "$answer")" && exit 1 ;;
        '') status="not believed: $(cat "$answer.why")" ;;
        esac
        say "cannot register: status $status"
        # Of 503, which comes when the server is full.
        after=$(sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9]*\).*/\1/p' "$answer.head")
        after=$(bounded "$after" 0 60 0)000
        [ "$after" -le "$pause" ] || pause=$after
        back_off
    done
    interval=$(bounded "$(member heartbeatIntervalMs)" 100 86400000 30000)
    keepalive=$(bounded "$(member keepaliveIntervalMs)" 100 86400000 15000)
    longest=$interval
    events=$(sed 's/.*"sseEndpoint": *"\([^"]*\)".*/\1/' "$answer")
    case $events in
    /*) events=$(echo "$server" | sed 's,^\([a-z]*://[^/]*\).*,\1,')$events ;;
    esac
    say "registered as $agent"
    send_heartbeats &
    heartbeats=$!
}

# Shows the token that it was given to begin with: again, when that of its own is not good any more.
enrol() {
    token=${CAMELEER_TOKEN:-}
    if [ -z "$token" ] && [ -n "${CAMELEER_TOKEN_FILE:-}" ]; then
        token=$(tr -d ' \r\n' <"$CAMELEER_TOKEN_FILE") # else it has said why not
    fi
    show_token
}

# Shows $token from now on, or none. Not on the command line of curl, where others could read it.
show_token() {
    printf '%s' "${token:+Authorization: Bearer $token}" >"$answer.token"
    mv "$answer.token" "$work/token" # in one moment, as there are two who read it
}

# Takes the token of its own out of the last answer, if there is one.
take_token() {
    token=$(sed -n 's/.*"accessToken": *"\([^"]*\)".*/\1/p' "$answer")
    [ -n "$token" ] || return 0
    show_token
    after=$(bounded "$(member renewAfterMs)" 100 86400000 60000)
    echo $(($(steady) + after)) >"$work/renew"
}

# Has its own token renewed, if that is due.
renew() {
    [ -s "$work/renew" ] && read -r due <"$work/renew" && [ "$(steady)" -ge "$due" ] || return 0
    case $(post "$agent/token" </dev/null) in
    200) take_token ;;
    401) enrol && declare_itself >/dev/null ;;
    esac
    return 0
}

# Prints the status of the answer, or nothing where the answer is not believed.
declare_itself() {
    status=$(declare_once)
    [ "$status" != 401 ] || { enrol && status=$(declare_once); }
    case $status in
    200 | 201)
        take_token
        welcomed || { echo "$why" >"$answer.why" && return; }
        ;;
    esac
    echo "$status"
}

declare_once() {
    # The nonce comes back in a signed answer, so that an old one is of no use to anybody.
    nonce=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
    echo "$nonce $(steady)" >"$answer.nonce"
    # Ids are letters, digits and . _ : @ - only, and need no escaping.
    printf '{"agentId":"%s","group":"%s","instanceId":"%s","capabilities":["%s","%s"],%s}' \
        "$agent" "$group" "$instance" config-update deep-trace "\"challenge\":\"$nonce\"" |
        post register
}

# In the background, whatever the stream or a command is doing. A server that has forgotten us is
# told here who we are: a shell that carries out a command hears of nothing until that has ended.
send_heartbeats() {
    trap 'kill $!; wait; exit' TERM
    answer=$work/heartbeat
    while kill -0 $$; do # not longer than the agent itself
        nap $((interval - $(below $((interval / 10)))))
        status=$(post "$agent/heartbeat" </dev/null)
        case $status in
        401 | 403 | 404) declare_itself >/dev/null; kill -USR1 $$ ;; # and open the stream again
        000 | 503) move_on ;;
        *) renew && look_each_hour ;;
        esac
    done 2>/dev/null
}

# Uses that address of the registry.
use() {
    server=${1%/}
    agents=$server/api/v1/agents
}

# Uses the next address, where there are several; they take turns at being the first.
move_on() {
    case $servers in
    *,*) servers=${servers#*,},${servers%%,*} && use "${servers%%,*}" ;;
    *) return 1 ;;
    esac
}

# Holds the stream until it ends, and returns the exit status of curl.
listen() {
    id='' opened='' sent_away='' lasted=$(date +%s)
    curl -qsSfN --connect-timeout 10 -H "$protocol" -H "@$work/token" \
        -H 'Accept: text/event-stream' "$events" >"$work/stream" &
    stream=$!
    watch_stream &
    watchdog=$!
    take 3<"$work/stream"
    kill $watchdog 2>/dev/null
    wait $stream
    set -- $?
    stream='' watchdog='' lasted=$(($(date +%s) - lasted))
    [ "$1" -ne 0 ] || say 'the stream has ended' # else curl has said why
    return "$1"
}

# Ends a stream on which nothing came for three keepalive intervals: the connection is open on paper
# only. curl's --speed-time cannot tell: a keepalive of two bytes is less than a byte a second.
watch_stream() {
    trap 'kill $!; wait; exit' TERM
    silent=0
    while [ $silent -lt 3 ]; do
        nap "$keepalive"
        # Nobody reads while a command is carried out, so nobody can tell.
        if rm "$work/heard" || [ -e "$work/busy" ]; then silent=0; else silent=$((silent + 1)); fi
    done 2>/dev/null
    say 'the stream is silent'
    kill "$stream"
}

# Takes events from descriptor 3, so that commands do not read them as their standard input.
take() {
    while IFS= read -r line <&3; do
        : >"$work/heard"
        case $line in
        'retry: '*)
            retry=$(bounded "${line#retry: }" 100 60000 "$retry")
            if [ "$opened" ]; then sent_away=yes; else opened=yes && say listening && catch_up; fi
            ;;
        'id: '*) id=${line#id: } ;;
        'event: '*) type=${line#event: } ;;
        'data: '*) json=${line#data: } ;;
        '') [ -z "$id" ] || carry_out ;;
        esac
    done
}

# What was issued while there was no stream: asked for after a stream has opened, and not before.
# What comes on the stream meanwhile waits, as nobody reads it: so all is carried out in its order.
catch_up() {
    # It may be long, and the link slow: what counts is that it goes on coming.
    status=$(curl -qs --connect-timeout 10 -y 15 -Y 500 -o "$work/list" -w '%{http_code}' \
        -H "$protocol" -H "@$work/token" "$agents/$agent/commands?status=PENDING")
    if [ "$status" = 200 ]; then
        as_events <"$work/list" >"$work/missed"
        take 3<"$work/missed"
    else
        say "cannot catch up: status $status"
        kill "$stream"
    fi
}

# Turns a JSON array of commands, newest first, into events, oldest first: of each its signed line,
# if it has one. Strings are told from what stands around them, so that no payload can look like
# something else; records end in quotes.
as_events() {
    LC_ALL=C awk '
        BEGIN { RS = "\"" }
        in_string {
            piece[++pieces] = $0 "\""
            if (!opened) opened = pieces
            # After an odd number of backslashes the quote belongs to the string.
            if (match($0, /\\+$/) && RLENGTH % 2) next
            in_string = 0
            if (depth == 2) { field[commands, key] = $0; last = $0 }
            if (depth == 2 && key == "signed") { from[commands] = opened; to[commands] = pieces }
            next
        }
        {
            key = depth == 2 && $0 ~ /^[ \n]*:[ \n]*$/ ? last : ""
            start = 1
            for (i = 1; i <= length($0); i++) {
                c = substr($0, i, 1)
                if (c ~ /[[{]/ && ++depth == 2) { begin[++commands] = pieces + 1; start = i }
                if (c ~ /[]}]/ && depth-- == 2) {
                    piece[++pieces] = substr($0, start, i - start + 1)
                    end[commands] = pieces
                }
            }
            if (depth > 1) piece[++pieces] = substr($0, start) "\""
            in_string = 1
            opened = 0
        }
        # Of what JSON escapes in a string, a line of JSON has nothing but these.
        function unescaped(text) {
            gsub(/\\\\/, "\001", text)
            gsub(/\\"/, "\"", text)
            gsub(/\001/, "\\", text)
            return text
        }
        END {
            for (n = commands; n > 0; n--) {
                printf "id: %s\nevent: %s\ndata: ", field[n, "commandId"], field[n, "type"]
                if (n in from) {
                    for (i = from[n]; i < to[n]; i++) printf "%s", unescaped(piece[i])
                    printf "%s", unescaped(substr(piece[i], 1, length(piece[i]) - 1))
                } else for (i = begin[n]; i <= end[n]; i++) printf "%s", piece[i]
                printf "\n\n"
            }
        }'
}

# Carries out a command once, though it may come both ways.
carry_out() {
    message='' data=null
    if judge "$json"; then
        : >"$work/busy"
        say "told to $type: $id"
        if obey "$type" "$message_of_it"; then outcome=SUCCESS; else outcome=FAILURE; fi
        acknowledge
        rm "$work/busy"
    elif [ "$why" = expired ] && [ ! -s "$work/root" ]; then
        # Whoever sent it has been told so, and may have sent another.
        say "too late to $type: $id"
    elif [ -n "$why" ]; then
        say "refused $id: $why"
        [ -n "$id" ] || return
        outcome=FAILURE message="refused: $why" deadline=$(($(server_time) + 60000))
        acknowledge
        [ "$why" != expired ] || ask_for_time
    fi
}

# Registers again, once a minute at most: only the answer to that tells the server's time, signed. If
# its clock was set back, all commands from now on would look expired.
ask_for_time() {
    [ $(($(steady) - time_asked)) -ge 60000 ] || return 0
    time_asked=$(steady)
    status=$(declare_itself)
    say "asked for the server's time: ${status:-"not believed: $(cat "$answer.why")"}"
}

# Says what became of a command, again and again until the server has taken it or it is too late.
acknowledge() {
    ack="\"status\":\"$outcome\",\"message\":\"$message\""
    delay=500
    while :; do
        # Not on the command line of curl, where a long payload would not fit.
        status=$(printf '{%s,"data":%s}' "$ack" "$data" | post "$agent/commands/$id/ack")
        case $status in
        200) say "acknowledged: $outcome" && return ;;
        413) data=null ;; # too large
        000 | 408 | 429 | 5??) ;;
        *) say "cannot acknowledge: status $status" && return ;;
        esac
        [ "$(server_time)" -lt "$deadline" ] || { say 'too late to acknowledge' && return; }
        nap $((delay + $(below $delay)))
        delay=$((delay < 8000 ? delay * 2 : delay))
    done
}

# Posts standard input, and prints the status of the answer: 000 where there was none.
post() {
    curl -qs -m 10 -o "$answer" -D "$answer.head" -w '%{http_code}' \
        -H "$protocol" -H "@$work/token" -H 'Content-Type: application/json' \
        --data-binary @- "$agents/$1"
    # A Date may be that of a proxy, with a clock of its own.
    moment=$(sed -n 's/^[Xx]-[Cc]ameleer-[Tt]ime: *\([0-9TZ:.-]*\).*/\1/p' "$answer.head")
    [ -z "$moment" ] || keep ahead $(($(ms_at "$moment") - $(steady)))
}

# Writes a word or more into a file of that name, in one moment, as there are two who read it.
keep() {
    echo "$2" >"$answer.kept" && mv "$answer.kept" "$work/$1"
}

# Prints the server's time of day, in ms since 1970: as it was signed, if it was, or told with the
# last answer. Our own clock may be wrong by hours.
server_time() {
    ahead=''
    if [ -s "$work/signed-ahead" ]; then
        read -r ahead <"$work/signed-ahead"
    elif [ -s "$work/ahead" ]; then
        read -r ahead <"$work/ahead"
    fi
    if [ -n "$ahead" ]; then echo $(($(steady) + ahead)); else echo "$(date +%s)000"; fi
}

# Prints ms of a clock that only goes forward, where there is one: that of the day may be put back.
steady() {
    if [ -r /proc/uptime ]; then
        read -r up _ </proc/uptime
        echo $((${up%.*} * 1000 + 1${up#*.}0 - 1000)) # of a second it says hundredths
    else
        date +%s000
    fi
}

# Prints the ms since 1970 of a moment such as 2026-11-23T08:15:30.123Z. The year begins in March
# here, so that a leap day is its last; and 1 before two digits keeps them from being octal.
ms_at() {
    case $1 in
    [0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9][.Z]*) ;;
    *) echo 0 && return 1 ;;
    esac
    fraction=${1#*.}
    case $fraction in "$1" | *[!0-9Z]*) fraction= ;; esac
    fraction=1$(printf '%.3s' "${fraction%Z}000")
    y=${1%%-*} mo=1${1#*-} d=1${1#*-*-} h=1${1#*T} mi=1${1#*:} s=1${1##*:}
    mo=${mo%%-*} d=${d%%T*} h=${h%%:*} mi=${mi%%:*} s=${s%%[.Z]*}
    mo=$((mo - 100)) d=$((d - 100))
    y=$((mo > 2 ? y : y - 1)) mo=$((mo > 2 ? mo - 3 : mo + 9))
    days=$((365 * y + y / 4 - y / 100 + y / 400 + (153 * mo + 2) / 5 + d - 719469))
    echo $(((((days * 24 + h - 100) * 60 + mi - 100) * 60 + s - 100) * 1000 + fraction - 1000))
}

# Prints $1, but $2 at least and $3 at most, and $4 if it is no number. Whatever a server says, nobody
# asks it without a pause, or stays away for days.
bounded() {
    case $1 in
    0) echo "$2" ;;
    '' | *[!0-9]*) echo "$4" ;;
    ??????????*) echo "$3" ;;
    0*) bounded "${1#0}" "$2" "$3" "$4" ;; # else it would be octal
    *) echo $(($1 < $2 ? $2 : $1 > $3 ? $3 : $1)) ;;
    esac
}

# Prints a number that stands in the last answer.
member() {
    sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" "$answer"
}

# What is believed

# Notes the thumbprint of the registry's root key, where the token or the environment names it.
pin() {
    : >"$work/seen"
    # Without it the first registry that answers would be believed.
    [ -n "$token" ] || [ -z "${CAMELEER_TOKEN_FILE:-}" ] ||
        { say "there is no token in $CAMELEER_TOKEN_FILE" && exit 2; }
    root=${CAMELEER_ROOT_KEY:-}
    case $root in MCowBQYDK2VwAyEA*) # a whole key, as base64 of its SubjectPublicKeyInfo
        root=$(echo "${root#MCowBQYDK2VwAyEA}" | tr +/ -_ | tr -d '=\r\n')
        root=$(thumbprint "$root")
        ;;
    esac
    [ -z "$root" ] || is_id "$root" ||
        { say 'CAMELEER_ROOT_KEY is neither a key nor a thumbprint' && exit 2; }
    named=${token##*.}
    case $token in came_*.*) is_id "$named" || named='' ;; *) named='' ;; esac
    [ -z "$root" ] || [ "${named:-"$root"}" = "$root" ] ||
        { say 'CAMELEER_ROOT_KEY and the token name different root keys' && exit 2; }
    root=${root:-"$named"}
    [ -z "$root" ] || pin_to "$root"
}

pin_to() {
    openssl pkeyutl -help 2>&1 | grep -q rawin ||
        { say 'openssl 3 is needed to check what the registry has signed' && exit 2; }
    keep root "$1"
}

# Tells whether that has the form of a thumbprint (RFC 7638), by which keys are called.
is_id() {
    case $1 in *[!A-Za-z0-9_-]*) return 1 ;; esac
    [ ${#1} -eq 43 ]
}

# Prints what the key is called whose x, in base64url, is that.
thumbprint() {
    printf '{"crv":"Ed25519","kty":"OKP","x":"%s"}' "$1" | openssl dgst -sha256 -binary |
        openssl base64 -A | tr +/ -_ | tr -d =
}

# Prints what files in $work hold, and nothing where there is none.
kept() {
    [ ! -s "$work/$1" ] || cat "$work/$1"
}

# Takes the answer to a registration. Where the registry is known by its root, or says now that it
# has keys, it must be signed, and by the time in it deadlines are judged: counted from before we
# asked, so that to hold it up is of no use.
welcomed() {
    line=$(cat "$answer")
    if [ ! -s "$work/root" ]; then
        case $line in *'"serverPublicKey":"'*) learn || return ;; *) return 0 ;; esac
    elif [ ! -s "$work/keys" ]; then
        learn || return
    fi
    read -r nonce began <"$answer.nonce"
    if ! genuine "$line" registration/1; then
        [ "$why" = "$unknown" ] && look_for_keys && genuine "$line" registration/1 || return
    fi
    why='the answer is not to this registration'
    [ "$(told challenge)" = "$nonce" ] && [ "$(told agentId)" = "$agent" ] || return
    now=$(ms_at "$(told serverTime)") || return
    keep signed-ahead $((now - began))
    [ "$(told keysVersion)" -le "$(kept version)" ] || look_for_keys || :
}

# Tells whether the command of this line is to be carried out: $id, $type and $message_of_it are
# its own then, whatever stood around it. Otherwise $why says why not, or nothing of one that has
# come before.
judge() {
    if [ -s "$work/root" ]; then
        genuine "$1" command/1 ||
            { [ "$why" = "$unknown" ] && look_for_keys && genuine "$1" command/1; } || {
            # What it is called is not signed; but of a line that was changed nothing is.
            is_command_id "$id" || id=''
            return 1
        }
        type=$(told type) id=$(told commandId)
    else
        printf '%s' "$1" >"$answer.message"
        members <"$answer.message" >"$answer.members"
    fi
    message_of_it=$1
    is_command_id "$id" || { id='' why='it has no id' && return 1; }
    deadline=$(ms_at "$(told expiresAt)")
    if [ -s "$work/root" ]; then
        message_of_it=$message
        message=''
        why='not meant for this agent'
        case "$(told target.level) $(told target.agentId) $(told target.group)" in
        "agent $agent " | "group  $group" | 'all  ') ;;
        *) return 1 ;;
        esac
    fi
    why=expired
    [ "$(server_time)" -lt "$deadline" ] || return
    why=''
    ! grep -q "^$id " "$work/seen" || return
    if [ -s "$work/root" ] && [ "$type" = config-update ]; then
        why='older than the configuration that was taken last'
        [ "$(told order)" -gt "$order" ] || return
        order=$(told order)
    fi
    # Remembered until it has expired; only this process looks there.
    awk -v now="$(server_time)" '$2 > now' "$work/seen" >"$work/seen.new"
    echo "$id $deadline" >>"$work/seen.new"
    mv "$work/seen.new" "$work/seen"
    why=''
}

is_command_id() {
    case $1 in '' | *[!0-9A-Za-z-]*) return 1 ;; esac
}

unknown='signed by an unknown key'

# Looks for a newer set of keys; after one that was not newer, once a minute at most: whoever makes
# signatures up shall not have a fleet ask for them. Succeeds if a set was had.
look_for_keys() {
    last=$(kept asked)
    [ -z "$last" ] || [ $(($(steady) - last)) -ge 60000 ] || return
    keep asked "$(steady)"
    reason=$why
    learn && return
    say "no keys: $why" >&2
    why=$reason
    return 1
}

# A key may be revoked without another one signing anything.
look_each_hour() {
    learned=$(kept learned)
    [ -z "$learned" ] || [ $(($(steady) - learned)) -lt 3600000 ] || look_for_keys
}

# Fetches the keys, which the root has signed, and which never go back to an earlier version. No
# token is shown: everybody may have them.
learn() {
    why='the keys cannot be had'
    status=$(curl -qs -m 10 -o "$answer.keys" -w '%{http_code}' \
        -H "$protocol" "$server/api/v1/keys")
    [ "$status" = 200 ] || return
    if ! genuine "$(cat "$answer.keys")" keys/1; then
        why="the keys: $why"
        return 1
    fi
    why='the keys are of another registry'
    registry=$(told registry) before=$(kept registry)
    [ -n "$registry" ] && [ "${before:-"$registry"}" = "$registry" ] || return
    why='the keys are older than those that were seen'
    version=$(told version) before=$(kept version)
    [ "$version" -ge "${before:-1}" ] || return
    [ "$version" -eq "${before:-0}" ] || rm -f "$work/asked" # nobody else could have made it
    # One on each line: what it is called, what for, its status, and its x.
    awk '
        { split($1, part, "."); if (part[1] == "keys") key[part[2], part[3]] = $2 }
        part[3] == "kid" { last = part[2] }
        END {
            for (n = 0; n <= last; n++)
                print key[n, "kid"], key[n, "for"], key[n, "status"], key[n, "x"]
        }' "$answer.members" >"$answer.set" && mv "$answer.set" "$work/keys"
    keep version "$version"
    keep registry "$registry"
    keep learned "$(steady)"
    [ -s "$work/root" ] || pin_to "$(told keyId)"
}

# Tells whether this line is signed, as that, by a key of the set (the set itself: by its root), for
# this registry. Then $message is what was signed, and `told` has its members. Else $why says why.
genuine() {
    : >"$answer.members"
    why='not signed'
    # From its end on, always of the same length, so that nothing in it can be taken for it.
    tail=$(printf '%s' "$1" | tail -c 102)
    signature=${tail#',"signature":"'}
    signature=${signature%'"}'}
    message="${1%"$tail"}}"
    printf '%s' "$message" >"$answer.message"
    members <"$answer.message" >"$answer.members"
    [ "$tail" = ",\"signature\":\"$signature\"}" ] && [ ${#signature} -eq 86 ] || return
    case $signature in *[!A-Za-z0-9_-]*) return 1 ;; esac
    key_id=$(told keyId)
    is_id "$key_id" || return
    if [ "$2" = keys/1 ]; then
        why='not signed by the root key'
        x=$(told root.x)
        [ "$key_id" = "$(thumbprint "$x")" ] || return
        [ ! -s "$work/root" ] || [ "$key_id" = "$(kept root)" ] || return
    else
        why=$unknown
        # shellcheck disable=SC2046 # it is four words
        set -- "$1" "$2" $(grep "^$key_id " "$work/keys")
        [ $# -eq 6 ] || return
        why="signed by a key that is for $4s, not for commands"
        [ "$4" = command ] || return
        why='signed by a revoked key'
        [ "$5" != revoked ] || return
        x=$6
    fi
    why='the signature is wrong'
    # 32 bytes, behind what says that they are a key for Ed25519.
    printf '%s\n' '-----BEGIN PUBLIC KEY-----' "MCowBQYDK2VwAyEA$(echo "$x" | tr _- /+)=" \
        '-----END PUBLIC KEY-----' >"$answer.key"
    printf '%s==' "$signature" | tr _- /+ | openssl base64 -d -A >"$answer.signature"
    openssl pkeyutl -verify -pubin -inkey "$answer.key" -rawin -in "$answer.message" \
        -sigfile "$answer.signature" >"$answer.verified" 2>&1 || return
    why="not signed as $2"
    [ "$(told signs)" = "$2" ] || return
    why='of another registry'
    [ "$2" = keys/1 ] || [ "$(told registry)" = "$(kept registry)" ]
}

# Prints a member of what `members` was given last.
told() {
    sed -n "s/^$1 //p" "$answer.members"
}

# Prints the members of a JSON object: a name and a value on each line, such as `target.level all`.
# What stands in the payload is left out, so nobody can make it look like something else, and so are
# strings in which something is escaped: nothing that is looked for needs that. Records end in
# quotes, hence each second one is a string.
members() {
    LC_ALL=C awk '
        function tell(value, name, i) {
            name = at[1]
            for (i = 2; i <= depth; i++) name = name "." at[i]
            if (depth <= 3 && at[1] != "payload") print name " " value
        }
        BEGIN { RS = "\"" }
        in_string {
            # After an odd number of backslashes the quote belongs to the string.
            if (match($0, /\\+$/) && RLENGTH % 2) { escaped = 1; next }
            in_string = 0
            last = escaped || index($0, "\\") || index($0, "\n") ? "" : $0
            if (!named && last != "") tell(last)
            next
        }
        {
            for (i = 1; i <= length($0); i++) {
                c = substr($0, i, 1)
                if (c ~ /[]},]/ && bare != "") { tell(bare); bare = "" }
                if (c ~ /[[{]/) { is_list[++depth] = c == "["; at[depth] = 0; named = c == "{" }
                else if (c ~ /[]}]/) { depth--; named = 0 }
                else if (c == ",") { if (is_list[depth]) at[depth]++; else named = 1 }
                else if (c == ":") { at[depth] = last; named = 0 }
                else if (c !~ /[ \t\r\n]/) bare = bare c
            }
            in_string = 1
            escaped = 0
        }'
}

# Time

# Waits as long as the server asked for and a random part of that in addition, so that a fleet
# which lost its server does not return in one instant; twice as long with each failure in a row, up
# to the heartbeat interval. A stream that has lasted sets $pause back. Then the next address is
# tried.
back_off() {
    move_on && events=$agents/$agent/events
    nap $((pause + $(below "$pause")))
    pause=$((pause * 2 < longest ? pause * 2 : longest > retry ? longest : retry))
}

# Sleeps for so many milliseconds, or until a signal comes, which ends `wait` but not `sleep`.
nap() {
    seconds=$(($1 / 1000)).$(printf %03d $(($1 % 1000)))
    sleep "$seconds" &
    wait $! || kill $! 2>/dev/null
}

# Prints a random number from 0 up to, but not including, $1.
below() {
    echo $(($(od -An -N4 -tu4 /dev/urandom) % ($1 > 0 ? $1 : 1)))
}

say() {
    printf '%s\n' "$*"
}

# A command that is being carried out has ended by now: the shell waits for it before it looks at
# the signal. No process is left behind.
stop() {
    trap '' HUP INT TERM USR1
    # shellcheck disable=SC2086 # those that are empty shall vanish
    kill $heartbeats $stream $watchdog ${!-} 2>/dev/null
    wait
    rm -rf "$work"
}

main
