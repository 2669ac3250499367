import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Adapter of the conformance sessions; see ../conformance/README.md. */
public final class Conformance implements Rfsn.Listener {
    private Rfsn game;

    public static void main(String[] arguments) throws InterruptedException {
        Conformance adapter = new Conformance();
        adapter.game = new Rfsn(System.getenv("RFSN_URL"), adapter);
        adapter.game.player = "Ada";
        adapter.game.save = "slot1";
        adapter.game.firstWait = 0.05;
        adapter.game.connect();
        while (true) {
            adapter.game.update();
            Thread.sleep(2);
        }
    }

    private static void show(Object... values) {
        byte[] line = (Json.write(new ArrayList<>(List.of(values))) + "\n").getBytes(java.nio.charset.StandardCharsets.UTF_8);
        System.out.write(line, 0, line.length);
        System.out.flush();
    }

    @Override
    public void ready(List<Map<String, Object>> npcs) {
        show("ready", npcs.stream().map(npc -> (String) npc.get("id")).collect(Collectors.joining(",")));
    }

    @Override
    public void decision(String turn, Map<String, Object> decision) {
        show("decision", turn, decision.get("decision_id"), decision.get("action"), decision.get("target"));
    }

    @Override
    public void sentence(String turn, int index, String text) {
        show("sentence", turn, index, text);
    }

    @Override
    public void audio(String turn, int sentence, int sampleRate, short[] samples) {
        int sum = 0;
        for (short sample : samples) sum += sample;
        show("audio", turn, sentence, sampleRate, samples.length, sum);
    }

    @Override
    public void spoken(String turn, int sentence) {
        show("spoken", turn, sentence);
    }

    @Override
    public void state(Map<String, Object> state) {
        show("state", state.get("npc"), state.get("mood"), state.get("relationship"));
    }

    @Override
    public void finished(String turn, String text) {
        show("finished", turn, text);
    }

    @Override
    public void error(String message) {
        show("error", message);
    }

    @Override
    public void lost(String reason, double seconds) {
        show("lost");
    }

    @Override
    @SuppressWarnings("unchecked")
    public void message(Map<String, Object> message) {
        if (!"test.call".equals(message.get("type"))) return;
        List<Object> call = (List<Object>) message.get("call");
        String first = (String) call.get(1);
        switch ((String) call.get(0)) {
            case "say" -> game.say(first, (String) call.get(2));
            case "greet" -> game.greet(first, "approach");
            case "approach" -> game.approach(first);
            case "event" -> game.event(first, (String) call.get(2), Rfsn.map("what", call.get(3)), false);
            case "result" -> game.result(first, (String) call.get(2), (String) call.get(3));
            case "interrupt" -> game.interrupt(first, ((Number) call.get(2)).intValue(), ((Number) call.get(3)).intValue());
            case "save" -> game.saved(first);
            case "load" -> game.loaded(first);
            default -> throw new IllegalArgumentException(call.toString());
        }
    }
}
