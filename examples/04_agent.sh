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
# with commas between them. A shell has no JSON parser, and this needs none: in the stream a
# command's id and type stand on lines of their own, and its JSON is handed on as it came. -q keeps
# the .curlrc of whoever runs it out of it.
#
# Where the server asks for credentials, an enrolment token stands in CAMELEER_TOKEN, or in the file
# that CAMELEER_TOKEN_FILE names. It does not check the signatures of commands: who needs that takes
# docs/signed-lines.md, which has it in sh, or the client library.
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
    use "${servers%%,*}"
    known=' '                   # ids of commands that were carried out, the newest last
    retry=$((2000 + $(below 3000))) # ms to wait before connecting again, until a stream says
    pause=$retry longest=60000  # the same, after failures in a row; and the most of it

    register
    while :; do
        listen
        if [ $? -eq 22 ]; then # curl: an HTTP error, which here means that nobody knows us
            register
            listen
        fi
        if [ "$lasted" -ge 10 ]; then
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
        esac
        say "cannot register: status $status"
        # Of 503, which comes when the server is full.
        after=$(sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9]\{1,4\}\).*/\1/p' "$answer.head")
        [ "${after:-0}000" -le "$pause" ] || pause=${after}000
        back_off
    done
    interval=$(member heartbeatIntervalMs) keepalive=$(member keepaliveIntervalMs)
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
        token=$(tr -d ' \r\n' <"$CAMELEER_TOKEN_FILE")
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
    echo $(($(date +%s) + $(member renewAfterMs) / 1000)) >"$work/renew"
}

# Has its own token renewed, if that is due.
renew() {
    [ -s "$work/renew" ] && read -r due <"$work/renew" && [ "$(date +%s)" -ge "$due" ] || return
    case $(post "$agent/token" </dev/null) in
    200) take_token ;;
    401) enrol && declare_itself >/dev/null ;;
    esac
}

# Prints the status of the answer.
declare_itself() {
    status=$(declare_once)
    [ "$status" != 401 ] || { enrol && status=$(declare_once); }
    case $status in 200 | 201) take_token ;; esac
    echo "$status"
}

declare_once() {
    # Ids are letters, digits and . _ : @ - only, and need no escaping.
    printf '{"agentId":"%s","group":"%s","instanceId":"%s","capabilities":["%s","%s"]}' \
        "$agent" "$group" "$instance" config-update deep-trace | post register
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
        *) renew ;;
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
    id='' lasted=$(date +%s)
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
        'retry: '*) retry=${line#retry: } && say listening && catch_up ;;
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

# Turns a JSON array of commands, newest first, into events, oldest first. Strings are told from
# what stands around them, so that no payload can look like something else; records end in quotes.
as_events() {
    LC_ALL=C awk '
        BEGIN { RS = "\"" }
        in_string {
            piece[++pieces] = $0 "\""
            # After an odd number of backslashes the quote belongs to the string.
            if (match($0, /\\+$/) && RLENGTH % 2) next
            in_string = 0
            if (depth == 2) { field[commands, key] = $0; last = $0 }
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
        }
        END {
            for (n = commands; n > 0; n--) {
                printf "id: %s\nevent: %s\ndata: ", field[n, "commandId"], field[n, "type"]
                for (i = begin[n]; i <= end[n]; i++) printf "%s", piece[i]
                printf "\n\n"
            }
        }'
}

# Carries out a command once, though it may come both ways.
carry_out() {
    case $known in *" $id "*) return ;; esac
    known="$known$id "
    [ ${#known} -lt 37000 ] || known=" ${known#" "*" "}" # of the newest thousand, that is
    message='' data=null
    # Whoever sent it has been told that it expired, and may have sent another. Only the command's
    # own expiresAt stands behind its payload, in which there may be others.
    deadline=${json##*\"expiresAt\":} deadline=${deadline#*\"}
    deadline=$(seconds_at "${deadline%%\"*}")
    if [ "$(server_time)" -gt "$deadline" ]; then
        say "too late to $type: $id"
        return
    fi
    say "told to $type: $id"
    : >"$work/busy"
    if obey "$type" "$json"; then outcome=SUCCESS; else outcome=FAILURE; fi
    acknowledge
    rm "$work/busy"
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
    [ -n "$moment" ] || return
    echo $(($(seconds_at "$moment") - $(date +%s))) >"$answer.ahead"
    mv "$answer.ahead" "$work/ahead" # in one moment, as there are two who read it
}

# Prints the server's time of day, in seconds since 1970. Our own clock may be wrong by hours.
server_time() {
    ahead=0
    [ ! -s "$work/ahead" ] || read -r ahead <"$work/ahead"
    echo $(($(date +%s) + ahead))
}

# Prints the seconds since 1970 of a moment such as 2026-11-23T08:15:30.123Z. The year begins in
# March here, so that a leap day is its last; and 1 before two digits keeps them from being octal.
seconds_at() {
    y=${1%%-*} mo=1${1#*-} d=1${1#*-*-} h=1${1#*T} mi=1${1#*:} s=1${1##*:}
    mo=${mo%%-*} d=${d%%T*} h=${h%%:*} mi=${mi%%:*} s=${s%%[.Z]*}
    mo=$((mo - 100)) d=$((d - 100))
    y=$((mo > 2 ? y : y - 1)) mo=$((mo > 2 ? mo - 3 : mo + 9))
    days=$((365 * y + y / 4 - y / 100 + y / 400 + (153 * mo + 2) / 5 + d - 719469))
    echo $((((days * 24 + h - 100) * 60 + mi - 100) * 60 + s - 100))
}

# Prints a number that stands in the last answer.
member() {
    sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" "$answer"
}

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
