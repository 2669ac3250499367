using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Threading;
using Rfsn;

/// <summary>Adapter of the conformance sessions; see ../conformance/README.md.</summary>
internal static class Conformance
{
    private static void Main()
    {
        var output = Console.OpenStandardOutput();
        Action<object[]> show = values =>
        {
            var line = Encoding.UTF8.GetBytes(Json.Write(values) + "\n");
            output.Write(line, 0, line.Length);
            output.Flush();
        };
        var game = new Game(Environment.GetEnvironmentVariable("RFSN_URL")) { Player = "Ada", Save = "slot1", FirstWait = 0.05 };
        game.Ready += npcs => show(new object[] { "ready", string.Join(",", npcs.Select(npc => (string)npc["id"])) });
        game.Decided += (turn, decision) =>
            show(new[] { "decision", turn, decision["decision_id"], decision["action"], decision["target"] });
        game.Sentence += (turn, index, text) => show(new object[] { "sentence", turn, index, text });
        game.Sound += (turn, sentence, rate, samples) =>
            show(new object[] { "audio", turn, sentence, rate, samples.Length, samples.Sum(sample => (int)sample) });
        game.Spoken += (turn, sentence) => show(new object[] { "spoken", turn, sentence });
        game.StateChanged += state => show(new[] { "state", state["npc"], state["mood"], state["relationship"] });
        game.Finished += (turn, text) => show(new object[] { "finished", turn, text });
        game.Error += message => show(new object[] { "error", message });
        game.Lost += (reason, seconds) => show(new object[] { "lost" });
        game.OtherMessage += message => Call(game, message);
        game.Connect();
        while (true)
        {
            game.Update();
            Thread.Sleep(2);
        }
    }

    private static void Call(Game game, Dictionary<string, object> message)
    {
        if ((string)message["type"] != "test.call") return;
        var call = (List<object>)message["call"];
        var first = (string)call[1];
        switch ((string)call[0])
        {
            case "say": game.Say(first, (string)call[2]); break;
            case "greet": game.Greet(first); break;
            case "approach": game.Approach(first); break;
            case "event": game.Happened(first, (string)call[2], new Dictionary<string, object> { { "what", call[3] } }); break;
            case "result": game.Result(first, (string)call[2], (string)call[3]); break;
            case "interrupt": game.Interrupt(first, Convert.ToInt32(call[2]), Convert.ToInt32(call[3])); break;
            case "save": game.Saved(first); break;
            case "load": game.Loaded(first); break;
        }
    }
}
