import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * NPCs with a mind and a voice: a client for RFSN, for Java 17 or later, without dependencies.
 *
 * <p>Call {@link #update} in the game's own thread, once a frame: it runs the {@link Listener}.
 */
public final class Rfsn {
    private static final String PROTOCOL = "rfsn.v1";
    private static final int HEADER = 12;
    private static final double LONGEST_WAIT = 10;

    /** What the game is told. Override what you need. */
    public interface Listener {
        default void ready(List<Map<String, Object>> npcs) {}

        default void decision(String turn, Map<String, Object> decision) {}

        default void sentence(String turn, int index, String text) {}

        default void audio(String turn, int sentence, int sampleRate, short[] samples) {}

        default void visemes(String turn, int sentence, List<Object> visemes) {}

        default void spoken(String turn, int sentence) {}

        default void state(Map<String, Object> state) {}

        default void finished(String turn, String text) {}

        default void error(String message) {}

        default void lost(String reason, double seconds) {}

        default void message(Map<String, Object> message) {}
    }

    private static final class Turn {
        int number;
        final Map<Integer, Integer> rates = new HashMap<>();
    }

    /** Who plays. */
    public String player = "player";
    /** The game's save: memories of one are unknown in another. */
    public String save = "default";
    /** The server's key, if it has one. */
    public String key = "";
    public boolean audio = true;
    public boolean visemes = false;
    /** Seconds before the first attempt to connect again; doubled each time, up to ten. */
    public double firstWait = 0.5;

    private final String url;
    private final Listener listener;
    private final HttpClient http = HttpClient.newHttpClient();
    private final ConcurrentLinkedQueue<Runnable> arrived = new ConcurrentLinkedQueue<>();
    private final Map<String, Turn> turns = new LinkedHashMap<>();
    private final Map<Integer, String> numbers = new HashMap<>();
    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor(work -> {
        Thread thread = new Thread(work, "rfsn");
        thread.setDaemon(true);
        return thread;
    });
    private CompletableFuture<?> sending = CompletableFuture.completedFuture(null);
    private WebSocket socket;
    private double wait;
    private boolean open;
    private int made;

    public Rfsn(String url, Listener listener) {
        this.url = url;
        this.listener = listener;
    }

    /** Opens the connection, and opens it again whenever it is lost, until {@link #close}. */
    public void connect() {
        open = true;
        if (wait == 0) wait = firstWait;
        WebSocket.Builder builder = http.newWebSocketBuilder().subprotocols(PROTOCOL);
        if (!key.isEmpty()) builder.header("Authorization", "Bearer " + key);
        builder.buildAsync(URI.create(url), new Frames())
            .whenComplete((connected, error) -> {
                if (error != null) arrived.add(() -> lost("the server cannot be reached"));
            });
    }

    /** Closes the connection for good. */
    public void close() {
        open = false;
        timer.shutdownNow();
        if (socket != null) socket.sendClose(WebSocket.NORMAL_CLOSURE, "");
    }

    /** Runs the listener for all that came since the last call. */
    public void update() {
        Runnable next;
        while ((next = arrived.poll()) != null) next.run();
    }

    /** Says something to an NPC; returns the turn's id. */
    public String say(String npc, String text) {
        return begin(map("npc", npc, "text", text));
    }

    /** Says something, with the game's state. */
    public String say(String npc, String text, Map<String, Object> state) {
        return begin(map("npc", npc, "text", text, "state", state));
    }

    /** Lets an NPC speak first, because of "approach" or something that happened. */
    public String greet(String npc, String cause) {
        return begin(map("npc", npc, "text", "", "cause", cause));
    }

    /** Barge-in: the NPC stops, and remembers what the player heard. Stop your sound first. */
    public void interrupt(String turn, int sentence, int milliseconds) {
        send(map("type", "played", "turn_id", turn, "sentence", sentence, "ms", milliseconds));
        send(map("type", "cancel", "turn_id", turn));
    }

    /** The player comes near these NPCs. */
    public void approach(String... npcs) {
        send(map("type", "prefetch", "npcs", List.of(npcs), "player", player, "save", save));
    }

    /** Something happened in the game; with {@code speak} the NPC says something about it. */
    public void event(String npc, String kind, Map<String, Object> data, boolean speak) {
        send(map("type", "event", "npc", npc, "kind", kind, "player", player, "save", save, "data", data, "speak", speak));
    }

    /** What became of an NPC's action: "done", "failed" or "refused". */
    public void result(String decision, String outcome, String reason) {
        send(map("type", "result", "decision_id", decision, "outcome", outcome, "reason", reason));
    }

    /** The game was saved. */
    public void saved(String tag) {
        send(map("type", "snapshot", "tag", tag, "save", save));
    }

    /** The game was loaded. */
    public void loaded(String tag) {
        send(map("type", "rollback", "tag", tag, "save", save));
    }

    /** Sends any message of the protocol. */
    public void send(Map<String, Object> message) {
        WebSocket now = socket;
        if (now == null) {
            listener.error("There is no connection to the server.");
            return;
        }
        String text = Json.write(message);
        // A second message may be sent only when the first one is out.
        sending = sending.handle((done, error) -> null).thenCompose(ignored -> now.sendText(text, true));
    }

    /** Returns a map of keys and values. */
    public static Map<String, Object> map(Object... entries) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (int index = 0; index < entries.length; index += 2) map.put((String) entries[index], entries[index + 1]);
        return map;
    }

    private String begin(Map<String, Object> fields) {
        String id = PROTOCOL + "-" + ++made;
        turns.put(id, new Turn());
        Map<String, Object> message = map("type", "turn", "player", player, "save", save, "turn_id", id);
        message.putAll(fields);
        send(message);
        return id;
    }

    @SuppressWarnings("unchecked")
    private void take(Map<String, Object> message) {
        String turn = text(message, "turn_id");
        switch (text(message, "type")) {
            case "welcome" -> {
                wait = firstWait;
                send(map("type", "hello", "client", "rfsn-client java", "audio", audio, "visemes", visemes));
                List<Map<String, Object>> npcs = new ArrayList<>();
                for (Object npc : (List<Object>) message.get("npcs")) npcs.add((Map<String, Object>) npc);
                listener.ready(npcs);
            }
            case "turn.started" -> {
                int number = number(message, "turn_no");
                turns.computeIfAbsent(turn, id -> new Turn()).number = number; // the NPC may speak first
                numbers.put(number, turn);
            }
            case "decision" -> listener.decision(turn, message);
            case "sentence" -> listener.sentence(turn, number(message, "index"), text(message, "text"));
            case "speech.started" -> {
                if (turns.containsKey(turn)) {
                    turns.get(turn).rates.put(number(message, "sentence"), number(message, "sample_rate"));
                }
            }
            case "visemes" -> listener.visemes(turn, number(message, "sentence"), (List<Object>) message.get("visemes"));
            case "speech.finished" -> listener.spoken(turn, number(message, "sentence"));
            case "state" -> listener.state(message);
            case "turn.finished", "turn.cancelled" -> end(turn, text(message, "text"));
            case "turn.failed", "error" -> {
                listener.error(text(message, "message"));
                end(turn, "");
            }
            default -> listener.message(message);
        }
    }

    private void hear(ByteBuffer frame) {
        if (frame.remaining() <= HEADER || frame.get(0) != 1) return;
        int sentence = frame.getShort(2) & 0xFFFF;
        String turn = numbers.get(frame.getInt(4));
        if (turn == null) return;
        short[] samples = new short[(frame.remaining() - HEADER) / 2];
        frame.position(HEADER);
        frame.slice().order(ByteOrder.LITTLE_ENDIAN).asShortBuffer().get(samples);
        listener.audio(turn, sentence, turns.get(turn).rates.getOrDefault(sentence, 0), samples);
    }

    private void end(String turn, String text) {
        Turn known = turns.remove(turn);
        if (known == null) return;
        numbers.remove(known.number);
        listener.finished(turn, text);
    }

    private void lost(String reason) {
        socket = null;
        for (String turn : List.copyOf(turns.keySet())) end(turn, "");
        if (!open) return;
        listener.lost(reason, wait);
        timer.schedule(this::connect, (long) (wait * 1000), TimeUnit.MILLISECONDS);
        wait = Math.min(LONGEST_WAIT, wait * 2);
    }

    private static String text(Map<String, Object> message, String key) {
        return message.get(key) instanceof String value ? value : "";
    }

    private static int number(Map<String, Object> message, String key) {
        return message.get(key) instanceof Number value ? value.intValue() : 0;
    }

    /** Collects messages, which come in pieces, and hands them to the game's thread. */
    private final class Frames implements WebSocket.Listener {
        private final StringBuilder text = new StringBuilder();
        private final List<byte[]> pieces = new ArrayList<>();
        private boolean over;

        @Override
        public void onOpen(WebSocket opened) {
            arrived.add(() -> socket = opened);
            opened.request(1);
        }

        @Override
        @SuppressWarnings("unchecked")
        public CompletionStage<?> onText(WebSocket from, CharSequence data, boolean last) {
            text.append(data);
            if (last) {
                Map<String, Object> message = (Map<String, Object>) Json.read(text.toString());
                text.setLength(0);
                arrived.add(() -> take(message));
            }
            from.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onBinary(WebSocket from, ByteBuffer data, boolean last) {
            byte[] piece = new byte[data.remaining()];
            data.get(piece);
            pieces.add(piece);
            if (last) {
                ByteBuffer whole = ByteBuffer.allocate(pieces.stream().mapToInt(part -> part.length).sum());
                pieces.forEach(whole::put);
                pieces.clear();
                whole.flip().order(ByteOrder.LITTLE_ENDIAN);
                arrived.add(() -> hear(whole));
            }
            from.request(1);
            return null;
        }

        @Override
        public CompletionStage<?> onClose(WebSocket from, int code, String reason) {
            ended(reason.isEmpty() ? "the connection ended (" + code + ")" : reason);
            return null;
        }

        @Override
        public void onError(WebSocket from, Throwable error) {
            ended(error.getMessage() == null ? error.toString() : error.getMessage());
        }

        private void ended(String reason) {
            if (over) return;
            over = true;
            arrived.add(() -> lost(reason));
        }
    }
}
