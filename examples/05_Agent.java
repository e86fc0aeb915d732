import static java.util.stream.Collectors.joining;

import java.io.BufferedReader;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandler;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.HttpTimeoutException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A whole agent in one file, on JDK 17 or newer and nothing else: it registers, sends heartbeats,
 * holds its stream, and acknowledges commands.
 *
 * <pre>java examples/05_Agent.java http://127.0.0.1:8081 my-agent my-group</pre>
 *
 * <p>Then, from elsewhere:
 *
 * <pre>
 * curl -d '{"type": "config-update", "payload": {"revision": 7}}' \
 *     http://127.0.0.1:8081/api/v1/agents/my-agent/commands</pre>
 *
 * <p>It carries on when the server restarts, or forgets it, or the connection breaks. What has
 * expired by the server's clock it does not carry out. The server may be several addresses of one
 * registry, with commas between them.
 *
 * <p>Where the server asks for credentials, an enrolment token stands in {@code CAMELEER_TOKEN}, or
 * in the file that {@code CAMELEER_TOKEN_FILE} names. Where it signs its commands, the agent
 * carries out what its registry has signed for it, and refuses all else; docs/signed-lines.md has
 * the rules. It knows the registry by its root key: from the enrolment token, from
 * {@code CAMELEER_ROOT_KEY}, else from the first answer, for as long as it runs. For https, an
 * authority of one's own is given with {@code -Djavax.net.ssl.trustStore}.
 */
public final class Agent implements AutoCloseable {

    /** What it returns is acknowledged with SUCCESS, what it throws with FAILURE. */
    @FunctionalInterface
    public interface Handler {
        Object handle(Command command) throws Exception;
    }

    public record Command(String id, String type, Map<?, ?> payload, Instant expiresAt) {
        private static Command of(Object event) throws IOException {
            return new Command(
                    Json.get(event, "commandId", String.class),
                    Json.get(event, "type", String.class),
                    Json.get(event, "payload", Map.class),
                    Json.time(event, "expiresAt"));
        }
    }

    /** What the server answered to the registration, and at which address. */
    private record Config(URI server, URI events, long heartbeatMs, long keepaliveMs) {}

    private static final Logger LOG = System.getLogger(Agent.class.getName());
    private static final Duration ANSWER_LIMIT = Duration.ofSeconds(10);
    /** For as long as nothing else is known. */
    private static final long LONGEST_PAUSE_MS = 60_000;
    /** Whatever a server says, nobody asks it without a pause, or stays away for days. */
    private static final long LEAST_MS = 100;
    private static final long MOST_MS = Duration.ofDays(1).toMillis();
    /** How often the server may be asked for its time because a command has expired. */
    private static final Duration TIME_AGAIN = Duration.ofMinutes(1);
    /** A stream that ended sooner may have been taken over, by another process under this id. */
    private static final Duration LASTING = Duration.ofSeconds(10);

    /** Where agents are, at each address of the registry. */
    private final List<URI> addresses;
    private final String agentId;
    private final String group;
    private final Handler handler;
    private final String instanceId = UUID.randomUUID().toString();

    // Not HTTP/2, which over plain HTTP would begin with an upgrade that no one here understands.
    private final HttpClient http = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(ANSWER_LIMIT)
            .build();
    private final ScheduledExecutorService timers =
            Executors.newScheduledThreadPool(2, daemons("agent-timer"));
    // One thread: an older configuration must not overtake a newer one.
    private final ExecutorService commands =
            Executors.newSingleThreadExecutor(daemons("agent-commands"));
    private final ExecutorService acknowledgements =
            Executors.newFixedThreadPool(4, daemons("agent-acknowledgements"));

    private final Trust trust;
    /**
     * Ids of the commands that were taken on, and when each expires: until then it is known. Only
     * the thread of {@link #run} looks here.
     */
    private final Map<String, Instant> known = new HashMap<>();

    private final Semaphore wakeUp = new Semaphore(0);
    /** Of them the one in use: it has answered last. */
    private volatile URI agents;
    /** By how much the server's clock is ahead of {@link #steady}; null until it has said so. */
    private volatile Duration serverAhead;
    private volatile boolean registered;
    /** The token of its own; null until it was given one, and when that is not good any more. */
    private volatile String token;
    /** By {@link #steady}; it matters only while there is a token of its own. */
    private volatile Instant renewAt;
    /** Null until the first registration. */
    private volatile Config config;
    /** Null until the first stream has opened; it may have ended since. */
    private volatile InputStream stream;
    /** Null until the first registration. */
    private Future<?> heartbeats;
    /** How long the server wants us to wait before connecting again. */
    private long retryMs = 2_000 + random(3_000);
    /** The same after failures in a row. A stream that has lasted sets it back. */
    private long pauseMs = retryMs;
    /** By {@link System#nanoTime}, of the last turn of {@link #run}; null where none was opened. */
    private Long streamBegan;
    /** At which address it was opened. */
    private URI streamAt;
    /** Whether a node that ends, while others go on, has said in that turn when to come to them. */
    private boolean sentAway;
    /** When the server was last asked for its time, by {@link #steady}; null if it was not. */
    private Instant timeAskedAt;
    private volatile boolean closed;

    /**
     * Throws IOException where the token cannot be read, and IllegalArgumentException where it and
     * the environment name different registries.
     */
    public Agent(String server, String agentId, String group, Handler handler) throws IOException {
        this.addresses = Stream.of(server.split(","))
                .map(each -> URI.create(each.strip().replaceFirst("/+$", "") + "/api/v1/agents/"))
                .toList();
        // A fleet that is given the same ones shall not begin all at one.
        this.agents = addresses.get((int) random(addresses.size()));
        this.agentId = agentId;
        this.group = group;
        this.handler = handler;
        this.trust = new Trust(agentId, group, givenToken(), System.getenv("CAMELEER_ROOT_KEY"));
    }

    public static void main(String[] args) throws InterruptedException {
        if (args.length != 3) {
            System.err.println("usage: java 05_Agent.java SERVER AGENT-ID GROUP");
            System.exit(2);
        }
        System.setProperty("java.util.logging.SimpleFormatter.format", "%5$s%n");
        Agent agent;
        try {
            agent = new Agent(args[0], args[1], args[2], Agent::obey);
        } catch (IOException | IllegalArgumentException e) {
            System.err.println("cannot begin: " + e);
            System.exit(2);
            return;
        }
        Runtime.getRuntime().addShutdownHook(new Thread(agent::close, "agent-shutdown"));
        agent.run();
    }

    /** What this agent can do. */
    private static Object obey(Command command) {
        return switch (command.type()) {
            case "config-update" -> Map.of("applied", command.payload());
            case "deep-trace" -> Map.of("tracing", true);
            case "replay" -> {
                if (!(command.payload().get("exchangeId") instanceof String exchangeId)) {
                    throw new IllegalArgumentException("replay needs an \"exchangeId\"");
                }
                yield Map.of("replayed", exchangeId);
            }
            default -> throw new UnsupportedOperationException("unknown: " + command.type());
        };
    }

    /** Returns only when closed. Throws IllegalArgumentException where the server refuses us. */
    public void run() throws InterruptedException {
        while (!closed) {
            streamBegan = null;
            sentAway = false;
            try {
                if (!registered) {
                    register();
                }
                if (!listen()) {
                    register();
                    listen();
                }
                LOG.log(Level.INFO, "the stream has ended");
            } catch (Refused e) {
                LOG.log(Level.ERROR, "the server is not believed: " + e.getMessage());
            } catch (IOException e) {
                LOG.log(Level.WARNING, "disconnected: " + e);
            }
            if (sentAway) {
                moveOn(streamAt);
                pause(retryMs + random(retryMs));
            } else if (streamBegan != null && sinceNanoTime(streamBegan).compareTo(LASTING) >= 0) {
                // A balancer has ended it, say. Soon, but not before the server has noticed.
                pauseMs = retryMs;
                pause(250 + random(500));
            } else {
                backOff();
            }
        }
    }

    /** Ends the stream, and waits a moment for commands that are being carried out. */
    @Override
    public void close() {
        closed = true;
        reconnect();
        try {
            for (var executor : List.of(commands, acknowledgements)) {
                executor.shutdown();
                executor.awaitTermination(4, TimeUnit.SECONDS);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        List.of(timers, commands, acknowledgements).forEach(ExecutorService::shutdownNow);
    }

    // Registration and heartbeats

    private void register() throws IOException, InterruptedException {
        var server = agents;
        // It comes back in a signed answer, so that an old one is of no use to anybody.
        var nonce = Trust.nonce();
        var began = steady();
        Map<String, Object> declared = Map.of(
                "agentId", agentId,
                "group", group,
                "version", "1.0.0",
                "routeIds", List.of("orders-in", "orders-out"),
                "capabilities", List.of("config-update", "deep-trace", "replay"),
                "instanceId", instanceId,
                "challenge", nonce);
        var answer = post("register", declared);
        if (answer.statusCode() == 401 && token != null) {
            token = null;  // then the one that it was given to begin with
            answer = post("register", declared);
        }
        switch (answer.statusCode()) {
            case 200, 201 -> {}
            case 400 -> throw new IllegalArgumentException("refused: " + answer.body());
            default -> {
                // Of 503, which comes when the server is full.
                answer.headers().firstValue("Retry-After")
                        .map(seconds -> bounded(seconds + "000", 0, LONGEST_PAUSE_MS, 0))
                        .ifPresent(least -> pauseMs = Math.max(pauseMs, least));
                throw new IOException("registration was answered " + answer.statusCode());
            }
        }
        var body = Json.parse(answer.body());
        takeToken(body);
        welcomed(answer.body(), body, nonce, began);
        var intervals = Json.get(body, "config", Map.class);
        config = new Config(
                server,
                server.resolve(Json.get(body, "sseEndpoint", String.class)),
                interval(intervals, "heartbeatIntervalMs"),
                interval(intervals, "keepaliveIntervalMs"));
        registered = true;
        LOG.log(Level.INFO, "registered as " + agentId);
        startHeartbeats(config.heartbeatMs());
    }

    private void startHeartbeats(long intervalMs) {
        if (heartbeats != null) {
            heartbeats.cancel(false);
        }
        // At random, so that a fleet which was started together does not send them together.
        heartbeats = timers.scheduleWithFixedDelay(
                this::sendHeartbeat,
                random(intervalMs),
                intervalMs - random(intervalMs / 10),
                TimeUnit.MILLISECONDS);
    }

    private void sendHeartbeat() {
        try {
            switch (post(agentId + "/heartbeat", Map.of()).statusCode()) {
                case 401, 403, 404 -> {
                    registered = false;
                    reconnect();
                }
                default -> {
                    renewToken();
                    if (trust.isOutdated(steady())) {
                        lookForKeys();
                    }
                }
            }
        } catch (IOException e) {
            LOG.log(Level.DEBUG, "a heartbeat was lost: " + e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    // Credentials

    /** What is shown: the token of its own, or the one that it was given; null without any. */
    private String shownToken() throws IOException {
        if (token != null) {
            return token;
        }
        return givenToken();
    }

    private static String givenToken() throws IOException {
        var given = System.getenv("CAMELEER_TOKEN");
        var file = System.getenv("CAMELEER_TOKEN_FILE");
        if ((given == null || given.isBlank()) && file != null && !file.isEmpty()) {
            given = Files.readString(Path.of(file));
        }
        return given == null || given.isBlank() ? null : given.strip();
    }

    private void takeToken(Object body) throws IOException {
        var given = body instanceof Map<?, ?> members ? members.get("credential") : null;
        if (given instanceof Map<?, ?> it) {
            token = Json.get(it, "accessToken", String.class);
            renewAt = steady().plusMillis(interval(it, "renewAfterMs"));
        }
    }

    /** Has the token of its own renewed, if that is due. An open stream goes on with it. */
    private void renewToken() throws IOException, InterruptedException {
        if (token != null && !steady().isBefore(renewAt)) {
            var answer = post(agentId + "/token", Map.of());
            if (answer.statusCode() == 200) {
                takeToken(Json.parse(answer.body()));
            } else if (answer.statusCode() == 401) {
                registered = false;
                reconnect();
            }
        }
    }

    // What is believed

    /**
     * Takes the answer to a registration. Where the registry is known by its root, or says now that
     * it has keys, the answer must be signed, and deadlines are judged by the time in it.
     */
    private void welcomed(String line, Object body, String nonce, Instant began)
            throws IOException, InterruptedException {
        var offered = body instanceof Map<?, ?> members && members.get("serverPublicKey") != null;
        if (!trust.isPinned() && !offered) {
            return;
        }
        if (!trust.hasKeys()) {
            trust.learn(fetchKeys(), steady());
        }
        var known = believed(() -> trust.welcomed(line, nonce, began));
        if (known > trust.version()) {
            lookForKeys();
        }
    }

    /** Asks for a newer set of keys where the one at hand does not know who has signed this. */
    private <T> T believed(Judgement<T> judgement) throws IOException, InterruptedException {
        try {
            return judgement.pass();
        } catch (UnknownKey e) {
            if (!lookForKeys()) {
                throw e;
            }
            return judgement.pass();
        }
    }

    /**
     * Takes a newer set of keys, if there is one; after one that was not newer, once a minute at
     * most, since whoever makes signatures up shall not have a fleet ask. Two threads come here.
     */
    private boolean lookForKeys() throws InterruptedException {
        try {
            if (!trust.mayAsk(steady())) {
                return false;
            }
            trust.learn(fetchKeys(), steady());
            return true;
        } catch (IOException e) {
            LOG.log(Level.WARNING, "no keys: " + e.getMessage());
            return false;
        }
    }

    /** No token is shown: everybody may have the keys. */
    private String fetchKeys() throws IOException, InterruptedException {
        var request = HttpRequest.newBuilder(agents.resolve("../keys"))
                .header("X-Cameleer-Protocol-Version", "1")
                .build();
        var answer = send(request, BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IOException("asking for the keys was answered " + answer.statusCode());
        }
        return answer.body();
    }

    @FunctionalInterface
    private interface Judgement<T> {
        T pass() throws Refused;
    }

    // The stream

    /** Reads the stream to its end. Returns false where the server does not know this agent. */
    private boolean listen() throws IOException, InterruptedException {
        var here = agents;
        // What another address has named is its own.
        var isHome = config.server().equals(here);
        var events = isHome ? config.events() : URI.create(here + agentId + "/events");
        var request = request(events).header("Accept", "text/event-stream").build();
        var answer = send(request, BodyHandlers.ofInputStream());
        try (var body = new HeardStream(answer.body())) {
            stream = body;
            if (answer.statusCode() == 404 || answer.statusCode() == 401) {
                return false;
            }
            if (answer.statusCode() != 200) {
                throw new IOException("the stream was answered " + answer.statusCode());
            }
            streamBegan = System.nanoTime();
            streamAt = here;
            LOG.log(Level.INFO, "listening");
            catchUp();
            var watchdog = timers.scheduleWithFixedDelay(
                    () -> body.closeIfSilent(3 * config.keepaliveMs()),
                    config.keepaliveMs(), config.keepaliveMs(), TimeUnit.MILLISECONDS);
            try {
                readEvents(new BufferedReader(new InputStreamReader(body, StandardCharsets.UTF_8)));
            } finally {
                watchdog.cancel(false);
            }
        }
        return true;
    }

    private void readEvents(BufferedReader lines) throws IOException, InterruptedException {
        String data = null;
        String id = null;
        boolean opened = false;
        for (String line; !closed && (line = lines.readLine()) != null; ) {
            if (line.startsWith("retry: ")) {
                var said = line.substring("retry: ".length());
                retryMs = bounded(said, LEAST_MS, LONGEST_PAUSE_MS, retryMs);
                sentAway = opened;
                opened = true;
            } else if (line.startsWith("id: ")) {
                id = line.substring("id: ".length());
            } else if (line.startsWith("data: ")) {  // one line, and it says all
                data = line.substring("data: ".length());
            } else if (line.isEmpty() && data != null) {
                accept(data, id);
                data = null;
            }
        }
    }

    /**
     * Takes on what was issued while there was no stream. What comes on the stream meanwhile waits,
     * as nobody reads it: so all is carried out in its order.
     */
    private void catchUp() throws IOException, InterruptedException {
        var pending = request(URI.create(agents + agentId + "/commands?status=PENDING")).build();
        var answer = send(pending, BodyHandlers.ofInputStream());
        if (answer.statusCode() != 200) {
            answer.body().close();
            throw new IOException("catching up was answered " + answer.statusCode());
        }
        String list;
        // It may be long, and the link slow: what counts is that it goes on coming.
        try (var body = new HeardStream(answer.body())) {
            long limitMs = ANSWER_LIMIT.toMillis();
            var watchdog = timers.scheduleWithFixedDelay(
                    () -> body.closeIfSilent(limitMs), limitMs, 1_000, TimeUnit.MILLISECONDS);
            try {
                list = new String(body.readAllBytes(), StandardCharsets.UTF_8);
            } finally {
                watchdog.cancel(false);
            }
        }
        if (Json.parse(list) instanceof List<?> newestFirst) {
            for (int i = newestFirst.size() - 1; i >= 0; i--) {
                var delivery = newestFirst.get(i);
                var line = delivery instanceof Map<?, ?> members ? members.get("signed") : null;
                accept(
                        line instanceof String text ? text : Json.write(delivery),
                        Json.get(delivery, "commandId", String.class));
            }
        }
    }

    /** Ends the stream, or the pause between two of them. */
    private void reconnect() {
        wakeUp.release();
        try {
            if (stream != null) {
                stream.close();
            }
        } catch (IOException e) {
            LOG.log(Level.DEBUG, "closing the stream: " + e);
        }
    }

    /**
     * Waits as long as the server asked for and a random part of that in addition, so that a fleet
     * which lost its server does not return in one instant; twice as long with each failure in a
     * row, up to the heartbeat interval.
     */
    private void backOff() throws InterruptedException {
        pause(pauseMs + random(pauseMs));
        long longest = config == null ? LONGEST_PAUSE_MS : config.heartbeatMs();
        pauseMs = Math.max(retryMs, Math.min(2 * pauseMs, longest));
    }

    private void pause(long milliseconds) throws InterruptedException {
        if (!closed) {
            wakeUp.tryAcquire(milliseconds, TimeUnit.MILLISECONDS);
        }
    }

    /** A stream that knows when it last brought something. Reading it has no time limit. */
    private static final class HeardStream extends FilterInputStream {
        private volatile long heardAt = System.nanoTime();

        HeardStream(InputStream in) {
            super(in);
        }

        @Override
        public int read(byte[] bytes, int offset, int length) throws IOException {
            int count = super.read(bytes, offset, length);
            heardAt = System.nanoTime();
            return count;
        }

        void closeIfSilent(long limitMs) {
            if (System.nanoTime() - heardAt > TimeUnit.MILLISECONDS.toNanos(limitMs)) {
                LOG.log(Level.WARNING, "the stream is silent");
                try {
                    close();
                } catch (IOException e) {
                    LOG.log(Level.DEBUG, "closing the stream: " + e);
                }
            }
        }
    }

    // Commands

    /** Has a command carried out once, though it may come both ways; that is how it is called. */
    private void accept(String line, String sentAs) throws IOException, InterruptedException {
        Command command;
        try {
            command = trust.isPinned()
                    ? believed(() -> trust.command(line, serverTime(), known.keySet()))
                    : Command.of(Json.parse(line));
        } catch (SeenBefore e) {
            return;
        } catch (Refused e) {
            refuse(sentAs, e.getMessage());
            if (e instanceof Expired) {
                askForTime();
            }
            return;
        }
        var now = serverTime();
        known.values().removeIf(now::isAfter);
        if (known.putIfAbsent(command.id(), command.expiresAt()) == null) {
            commands.execute(() -> carryOut(command));
        }
    }

    /**
     * Tells the operator why a command was not carried out. What it is called is not signed, but a
     * line of which a byte was changed may not even be JSON.
     */
    private void refuse(String id, String why) {
        LOG.log(Level.ERROR, "refused " + id + ": " + why);
        if (id != null && id.matches("[0-9A-Za-z-]{1,64}")) {  // it becomes part of an address
            var command = new Command(id, "", Map.of(), serverTime().plusSeconds(60));
            Map<String, Object> result = new LinkedHashMap<>();
            result.put("status", "FAILURE");
            result.put("message", "refused: " + why);
            acknowledgements.execute(() -> acknowledge(command, result));
        }
    }

    /**
     * Registers again, once a minute at most: only the answer to that tells the server's time,
     * signed. If its clock was set back, all commands from now on would look expired.
     */
    private void askForTime() throws InterruptedException {
        var now = steady();
        if (timeAskedAt != null && Duration.between(timeAskedAt, now).compareTo(TIME_AGAIN) < 0) {
            return;
        }
        timeAskedAt = now;
        try {
            register();
        } catch (IOException e) {
            LOG.log(Level.WARNING, "cannot ask for the server's time: " + e);
        }
    }

    private void carryOut(Command command) {
        if (hasExpired(command)) {
            // Whoever sent it has been told so, and may have sent another.
            LOG.log(Level.WARNING, "too late to " + command.type() + ": " + command.id());
            return;
        }
        LOG.log(Level.INFO, "told to " + command.type() + ": " + command.id());
        Map<String, Object> result = new LinkedHashMap<>();
        try {
            result.put("data", handler.handle(command));
            result.put("status", "SUCCESS");
        } catch (Exception e) {
            result.put("status", "FAILURE");
            result.put("message", e.toString());
        }
        acknowledgements.execute(() -> acknowledge(command, result));
    }

    /** Says what became of a command, again and again until the server has taken it. */
    private void acknowledge(Command command, Map<String, Object> result) {
        var path = agentId + "/commands/" + command.id() + "/ack";
        try {
            for (long delayMs = 500; ; delayMs = Math.min(2 * delayMs, 8_000)) {
                int status = statusOf(path, result);
                switch (status) {
                    case 200 -> {
                        LOG.log(Level.INFO, "acknowledged: " + result.get("status"));
                        return;
                    }
                    case 413 -> result.remove("data");  // too large
                    case 0, 408, 429, 500, 502, 503, 504 -> {}
                    default -> {
                        LOG.log(Level.WARNING, "cannot acknowledge: status " + status);
                        return;
                    }
                }
                Thread.sleep(delayMs + random(delayMs));
                if (hasExpired(command)) {
                    LOG.log(Level.WARNING, "too late to acknowledge " + command.id());
                    return;
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private boolean hasExpired(Command command) {
        return !serverTime().isBefore(command.expiresAt());
    }

    /**
     * The server's time of day: as it was signed, if it was, or told with the last answer. Our own
     * clock may be wrong by hours.
     */
    private Instant serverTime() {
        var ahead = trust.isPinned() ? trust.serverAhead() : serverAhead;
        return ahead == null ? Instant.now() : steady().plus(ahead);
    }

    /** Takes note of the server's time. A Date may be that of a proxy, with a clock of its own. */
    private void heard(String serverTime) {
        if (serverTime.startsWith("+")) {
            return;  // a year of more than four digits
        }
        try {
            serverAhead = Duration.between(steady(), Instant.parse(serverTime));
        } catch (DateTimeParseException e) {
            LOG.log(Level.DEBUG, "no time: " + serverTime);
        }
    }

    /**
     * A clock that only goes forward, from wherever it began; also while the host sleeps, which
     * nanoTime on Linux does not.
     */
    private static Instant steady() {
        try (var uptime = Files.newBufferedReader(Path.of("/proc/uptime"))) {
            var seconds = new BigDecimal(uptime.readLine().split(" ")[0]);
            return Instant.EPOCH.plusMillis(seconds.movePointRight(3).longValue());
        } catch (IOException e) {
            return Instant.EPOCH.plusNanos(System.nanoTime());
        }
    }

    private static Duration sinceNanoTime(long moment) {
        return Duration.ofNanos(System.nanoTime() - moment);
    }

    // HTTP

    /** Posts a body, and returns the status of the answer: 0 where there is none. */
    private int statusOf(String path, Object body) throws InterruptedException {
        try {
            return post(path, body).statusCode();
        } catch (IOException e) {
            return 0;
        }
    }

    private HttpResponse<String> post(String path, Object body)
            throws IOException, InterruptedException {
        var request = request(URI.create(agents + path))
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString(Json.write(body)))
                .build();
        return send(request, BodyHandlers.ofString());
    }

    private HttpRequest.Builder request(URI address) throws IOException {
        var request = HttpRequest.newBuilder(address).header("X-Cameleer-Protocol-Version", "1");
        var shown = shownToken();
        return shown == null ? request : request.header("Authorization", "Bearer " + shown);
    }

    /**
     * Sends a request and waits for its answer: of a stream the head, of all else the whole, which
     * {@link HttpRequest.Builder#timeout} would not limit.
     */
    private <T> HttpResponse<T> send(HttpRequest request, BodyHandler<T> handler)
            throws IOException, InterruptedException {
        var here = agents;
        var sent = http.sendAsync(request, handler);
        try {
            var answer = sent.get(ANSWER_LIMIT.toMillis(), TimeUnit.MILLISECONDS);
            answer.headers().firstValue("X-Cameleer-Time").ifPresent(this::heard);
            if (answer.statusCode() == 503) {
                moveOn(here);
            }
            return answer;
        } catch (ExecutionException e) {
            moveOn(here);
            throw new IOException(e.getCause());
        } catch (TimeoutException e) {
            moveOn(here);
            throw new HttpTimeoutException("no answer from " + request.uri());
        } finally {
            sent.cancel(true);  // closes the connection where there was no answer
        }
    }

    /** Uses the address behind one that has not answered, unless another is in use already. */
    private synchronized void moveOn(URI from) {
        if (agents.equals(from)) {
            agents = addresses.get((addresses.indexOf(from) + 1) % addresses.size());
        }
    }

    private static long interval(Object object, String name) throws IOException {
        long said = Json.get(object, name, Long.class);
        return Math.max(LEAST_MS, Math.min(said, MOST_MS));
    }

    /** Returns a number that was told, within these bounds; otherwise, if it is none. */
    private static long bounded(String told, long least, long most, long otherwise) {
        if (!told.matches("[0-9]{1,100}")) {
            return otherwise;
        }
        var number = new BigInteger(told).min(BigInteger.valueOf(most)).longValue();
        return Math.max(least, number);
    }

    /** Returns a random number from 0 up to, but not including, the bound. */
    private static long random(long bound) {
        return ThreadLocalRandom.current().nextLong(Math.max(1, bound));
    }

    private static ThreadFactory daemons(String name) {
        return task -> {
            var thread = new Thread(task, name);
            thread.setDaemon(true);
            return thread;
        };
    }

    /** Something is not believed; the message says why, in a few words for the operator. */
    @SuppressWarnings("serial")
    private static class Refused extends IOException {
        Refused(String why) {
            super(why);
        }
    }

    /** By the time that the last registration told. */
    @SuppressWarnings("serial")
    private static final class Expired extends Refused {
        Expired() {
            super("expired");
        }
    }

    /** A newer set of keys may know it. */
    @SuppressWarnings("serial")
    private static final class UnknownKey extends Refused {
        UnknownKey() {
            super("signed by an unknown key");
        }
    }

    /** Whoever carries it out, or has, answers for it. */
    @SuppressWarnings("serial")
    private static final class SeenBefore extends Refused {
        SeenBefore() {
            super("seen before");
        }
    }

    /** Which lines are believed: those that the registry has signed, for this agent. */
    private static final class Trust {
        private static final String MARK = ",\"signature\":\"";
        private static final int SIGNATURE = 86;
        private static final Pattern ID = Pattern.compile("[A-Za-z0-9_-]{43}");
        /** What says that the 32 bytes behind it are a public key for Ed25519. */
        private static final String SPKI = "MCowBQYDK2VwAyEA";
        private static final Duration ASK_AGAIN = Duration.ofMinutes(1);
        private static final Duration FRESH = Duration.ofHours(1);

        private record Key(String use, String status, String x) {}

        private final String agentId;
        private final String group;
        /** The thumbprint of the root key; null until there is one. */
        private String root;
        private String registry;
        private long version;
        /** By their thumbprints; null until there is a set. */
        private Map<String, Key> keys;
        private Instant learnedAt;
        /** When looking for a newer set brought none; null if it never did, or one came since. */
        private Instant askedAt;
        /** By how much the server's clock is ahead of ours; null until a signed answer said so. */
        private Duration serverAhead;
        /** Of the last configuration that was taken. */
        private long order;

        Trust(String agentId, String group, String token, String rootKey) {
            this.agentId = agentId;
            this.group = group;
            var enrolled = token != null && token.startsWith("came_")
                    ? token.substring(token.lastIndexOf('.') + 1)
                    : "";
            root = ID.matcher(enrolled).matches() ? enrolled : null;
            if (rootKey != null && !rootKey.isBlank()) {
                var named = rootKey.strip();
                if (named.startsWith(SPKI)) {
                    named = thumbprint(named.substring(SPKI.length())
                            .replace('+', '-').replace('/', '_').replace("=", ""));
                }
                if (!ID.matcher(named).matches() || root != null && !root.equals(named)) {
                    throw new IllegalArgumentException(root == null
                            ? "CAMELEER_ROOT_KEY is neither a key nor a thumbprint"
                            : "CAMELEER_ROOT_KEY and the token name different root keys");
                }
                root = named;
            }
        }

        static String nonce() {
            var bytes = new byte[24];
            new SecureRandom().nextBytes(bytes);
            return Base64.getUrlEncoder().encodeToString(bytes);
        }

        /** Whether a root is known, so that nothing unsigned is believed. */
        synchronized boolean isPinned() {
            return root != null;
        }

        synchronized boolean hasKeys() {
            return keys != null;
        }

        synchronized long version() {
            return version;
        }

        synchronized Duration serverAhead() {
            return serverAhead;
        }

        /** A key may be revoked without another one signing anything. */
        synchronized boolean isOutdated(Instant now) {
            return keys != null && Duration.between(learnedAt, now).compareTo(FRESH) >= 0;
        }

        synchronized boolean mayAsk(Instant now) {
            if (askedAt != null && Duration.between(askedAt, now).compareTo(ASK_AGAIN) < 0) {
                return false;
            }
            askedAt = now;
            return true;
        }

        /** Takes a set of keys, which the root has signed and which never goes back. */
        synchronized void learn(String line, Instant now) throws IOException {
            var set = verified(line, "keys/1");
            var itsRegistry = Json.get(set, "registry", String.class);
            long itsVersion = Json.get(set, "version", Long.class);
            if (registry != null && !registry.equals(itsRegistry)) {
                throw new Refused("the keys are of another registry");
            }
            if (itsVersion < version) {
                throw new Refused("the keys are older than those that were seen");
            }
            var found = new HashMap<String, Key>();
            for (Object key : Json.get(set, "keys", List.class)) {
                found.put(
                        Json.get(key, "kid", String.class),
                        new Key(
                                Json.get(key, "for", String.class),
                                Json.get(key, "status", String.class),
                                Json.get(key, "x", String.class)));
            }
            keys = found;
            if (itsVersion > version) {
                askedAt = null;  // nobody else could have made it
            }
            registry = itsRegistry;
            version = itsVersion;
            root = Json.get(set, "keyId", String.class);
            learnedAt = now;
        }

        /**
         * Takes the server's time from its answer to the registration with that nonce, and returns
         * the version of the keys that it has. Time is counted from when the nonce was made, so to
         * hold the answer up is of no use.
         */
        synchronized long welcomed(String line, String nonce, Instant began) throws Refused {
            var answer = verified(line, "registration/1");
            if (!nonce.equals(answer.get("challenge")) || !agentId.equals(answer.get("agentId"))) {
                throw new Refused("the answer is not to this registration");
            }
            try {
                serverAhead = Duration.between(began, Json.time(answer, "serverTime"));
                return Json.get(answer, "keysVersion", Long.class);
            } catch (IOException e) {
                throw new Refused(e.getMessage());
            }
        }

        synchronized Command command(String line, Instant now, Set<String> known) throws Refused {
            var members = verified(line, "command/1");
            if (!isMeantBy(members.get("target"))) {
                throw new Refused("not meant for this agent");
            }
            try {
                var command = Command.of(members);
                if (serverAhead == null || !now.isBefore(command.expiresAt())) {
                    throw new Expired();
                }
                if (known.contains(command.id())) {
                    throw new SeenBefore();
                }
                if (command.type().equals("config-update")) {
                    long itsOrder = Json.get(members, "order", Long.class);
                    if (itsOrder <= order) {
                        throw new Refused("older than the configuration that was taken last");
                    }
                    order = itsOrder;
                }
                return command;
            } catch (Refused e) {
                throw e;
            } catch (IOException e) {
                throw new Refused(e.getMessage());
            }
        }

        private boolean isMeantBy(Object target) {
            return Map.of("level", "agent", "agentId", agentId).equals(target)
                    || Map.of("level", "group", "group", group).equals(target)
                    || Map.of("level", "all").equals(target);
        }

        /**
         * Returns the members of a line that is signed, as that, by a key of the set (the set
         * itself: by its root), for this registry.
         */
        private Map<?, ?> verified(String line, String kind) throws Refused {
            // From its end on, always of the same length, so nothing else can be taken for it.
            int at = line.length() - MARK.length() - SIGNATURE - 2;
            if (at < 0 || !line.startsWith(MARK, at) || !line.endsWith("\"}")) {
                throw new Refused("not signed");
            }
            var message = line.substring(0, at) + "}";
            Map<?, ?> members;
            String keyId;
            byte[] signature;
            try {
                members = (Map<?, ?>) Json.parse(message);
                keyId = Json.get(members, "keyId", String.class);
                signature = Base64.getUrlDecoder()
                        .decode(line.substring(at + MARK.length(), line.length() - 2));
            } catch (IOException | IllegalArgumentException | ClassCastException e) {
                throw new Refused("not signed");
            }
            var x = kind.equals("keys/1") ? rootIn(members, keyId) : keyOf(keyId);
            if (!verifies(x, signature, message)) {
                throw new Refused("the signature is wrong");
            }
            if (!kind.equals(members.get("signs"))) {
                throw new Refused("not signed as " + kind);
            }
            if (!kind.equals("keys/1") && !registry.equals(members.get("registry"))) {
                throw new Refused("of another registry");
            }
            return members;
        }

        private String rootIn(Map<?, ?> set, String keyId) throws Refused {
            if (set.get("root") instanceof Map<?, ?> jwk
                    && jwk.get("x") instanceof String x
                    && keyId.equals(thumbprint(x))
                    && (root == null || root.equals(keyId))) {
                return x;
            }
            throw new Refused("the keys are not signed by the root key");
        }

        private String keyOf(String keyId) throws Refused {
            var key = keys == null ? null : keys.get(keyId);
            if (key == null) {
                throw new UnknownKey();
            }
            if (!key.use().equals("command")) {
                throw new Refused(
                        "signed by a key that is for " + key.use() + "s, not for commands");
            }
            if (key.status().equals("revoked")) {
                throw new Refused("signed by a revoked key");
            }
            return key.x();
        }

        private static boolean verifies(String x, byte[] signature, String message) {
            try {
                var encoded = SPKI + x.replace('-', '+').replace('_', '/') + "=";
                var verifier = Signature.getInstance("Ed25519");
                verifier.initVerify(KeyFactory.getInstance("Ed25519").generatePublic(
                        new X509EncodedKeySpec(Base64.getDecoder().decode(encoded))));
                verifier.update(message.getBytes(StandardCharsets.UTF_8));
                return verifier.verify(signature);
            } catch (GeneralSecurityException | IllegalArgumentException e) {
                return false;
            }
        }

        /** Returns what a key is called (RFC 7638). */
        private static String thumbprint(String x) {
            var jwk = "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"" + x + "\"}";
            try {
                var digest = MessageDigest.getInstance("SHA-256")
                        .digest(jwk.getBytes(StandardCharsets.UTF_8));
                return Base64.getUrlEncoder().withoutPadding().encodeToString(digest);
            } catch (GeneralSecurityException e) {
                throw new IllegalStateException(e);  // every Java has it
            }
        }
    }

    /** JSON to maps, lists, strings, numbers, booleans and null, and back. */
    private static final class Json {
        private static final char END = '\0';
        private static final int DEEPEST = 2_000;
        private final String text;
        private int at;
        private int depth;

        private Json(String text) {
            this.text = text;
        }

        /** Reads all that is JSON (RFC 8259); does not refuse all that is not. */
        static Object parse(String text) throws IOException {
            var json = new Json(text);
            var value = json.value();
            json.expect(END);
            return value;
        }

        static <T> T get(Object object, String name, Class<T> type) throws IOException {
            if (object instanceof Map<?, ?> members && type.isInstance(members.get(name))) {
                return type.cast(members.get(name));
            }
            throw new IOException("no " + name + " in " + object);
        }

        static Instant time(Object object, String name) throws IOException {
            try {
                return Instant.parse(get(object, name, String.class));
            } catch (DateTimeParseException e) {
                throw new IOException(name + " is no time", e);
            }
        }

        static String write(Object value) {
            if (value instanceof Map<?, ?> members) {
                return members.entrySet().stream()
                        .map(member -> quote(member.getKey()) + ":" + write(member.getValue()))
                        .collect(joining(",", "{", "}"));
            }
            if (value instanceof List<?> elements) {
                return elements.stream().map(Json::write).collect(joining(",", "[", "]"));
            }
            boolean bare = value == null || value instanceof Number || value instanceof Boolean;
            return bare ? String.valueOf(value) : quote(value);
        }

        private static String quote(Object value) {
            var quoted = new StringBuilder("\"");
            for (char c : value.toString().toCharArray()) {
                if (c == '"' || c == '\\') {
                    quoted.append('\\');
                }
                quoted.append(c < ' ' ? "\\u%04x".formatted((int) c) : c);
            }
            return quoted.append('"').toString();
        }

        private Object value() throws IOException {
            if (++depth > DEEPEST) {
                fail();
            }
            var value = anyValue();
            depth--;
            return value;
        }

        private Object anyValue() throws IOException {
            return switch (peek()) {
                case '{' -> object();
                case '[' -> array();
                case '"' -> string();
                case 't' -> literal("true", true);
                case 'f' -> literal("false", false);
                case 'n' -> literal("null", null);
                default -> number();
            };
        }

        private Map<String, Object> object() throws IOException {
            var members = new LinkedHashMap<String, Object>();
            expect('{');
            if (!next('}')) {
                do {
                    var name = string();
                    expect(':');
                    members.put(name, value());
                } while (next(','));
                expect('}');
            }
            return members;
        }

        private List<Object> array() throws IOException {
            var elements = new ArrayList<>();
            expect('[');
            if (!next(']')) {
                do {
                    elements.add(value());
                } while (next(','));
                expect(']');
            }
            return elements;
        }

        private String string() throws IOException {
            expect('"');
            var string = new StringBuilder();
            for (char c; (c = take()) != '"'; ) {
                string.append(c == '\\' ? escaped() : c);
            }
            return string.toString();
        }

        private char escaped() throws IOException {
            char c = take();
            if (c == 'u') {
                return (char) (digit() << 12 | digit() << 8 | digit() << 4 | digit());
            }
            int control = "bfnrt".indexOf(c);
            return control < 0 ? c : "\b\f\n\r\t".charAt(control);
        }

        private int digit() throws IOException {
            int digit = Character.digit(take(), 16);
            return digit >= 0 ? digit : fail();
        }

        private Number number() throws IOException {
            int start = at;
            while (at < text.length() && "+-.0123456789Ee".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
            var number = text.substring(start, at);
            try {
                if (number.contains(".") || number.contains("e") || number.contains("E")) {
                    return Double.valueOf(number);
                }
                var integer = new BigInteger(number);
                return integer.bitLength() < Long.SIZE ? (Number) integer.longValue() : integer;
            } catch (NumberFormatException e) {
                return fail();
            }
        }

        private Object literal(String name, Object value) throws IOException {
            if (!text.startsWith(name, at)) {
                fail();
            }
            at += name.length();
            return value;
        }

        /** Returns the next character that is no space, without taking it. */
        private char peek() {
            while (at < text.length() && " \t\n\r".indexOf(text.charAt(at)) >= 0) {
                at++;
            }
            return at < text.length() ? text.charAt(at) : END;
        }

        private boolean next(char c) {
            boolean found = peek() == c;
            at += found ? 1 : 0;
            return found;
        }

        private void expect(char c) throws IOException {
            if (!next(c)) {
                fail();
            }
        }

        private char take() throws IOException {
            return at < text.length() ? text.charAt(at++) : (char) fail();
        }

        private int fail() throws IOException {
            throw new IOException("no JSON at character " + at);
        }
    }
}
