using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.WebSockets;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Rfsn
{
    using Message = Dictionary<string, object>;

    /// <summary>
    /// A connection to the server, which is made again when it is lost, and the turns that run on it. Call
    /// <see cref="Update"/> in the game's own thread, once a frame: it raises the events. Free of UnityEngine.
    /// </summary>
    public sealed class Game
    {
        private const string Protocol = "rfsn.v1";
        private const int Header = 12;
        private const double LongestWait = 10;

        private sealed class Turn
        {
            public int Number;
            public readonly Dictionary<int, int> Rates = new Dictionary<int, int>();
        }

        /// <summary>Who plays, and in which save: memories of one save are unknown in another.</summary>
        public string Player = "player", Save = "default";
        /// <summary>The server's key, if it has one.</summary>
        public string Key = "";
        public bool Audio = true, Visemes;
        /// <summary>Seconds before the first attempt to connect again; doubled each time, up to ten.</summary>
        public double FirstWait = 0.5;

        /// <summary>The ids of the world's NPCs.</summary>
        public event Action<IReadOnlyList<Message>> Ready;
        /// <summary>Turn, and what the NPC does: before the first word.</summary>
        public event Action<string, Message> Decided;
        /// <summary>Turn, index, text.</summary>
        public event Action<string, int, string> Sentence;
        /// <summary>Turn, sentence, sample rate, PCM16 samples.</summary>
        public event Action<string, int, int, short[]> Sound;
        /// <summary>Turn, sentence, [shape, start ms, end ms].</summary>
        public event Action<string, int, List<object>> Mouth;
        /// <summary>Turn, sentence: all its sound has come.</summary>
        public event Action<string, int> Spoken;
        public event Action<Message> StateChanged;
        /// <summary>Turn, and what was said.</summary>
        public event Action<string, string> Finished;
        /// <summary>A sentence for people.</summary>
        public event Action<string> Error;
        /// <summary>The reason, and the seconds until the next attempt.</summary>
        public event Action<string, double> Lost;
        public event Action<Message> OtherMessage;

        private readonly string url;
        private readonly ConcurrentQueue<Action> arrived = new ConcurrentQueue<Action>();
        private readonly Dictionary<string, Turn> turns = new Dictionary<string, Turn>();
        private readonly Dictionary<int, string> numbers = new Dictionary<int, string>();
        private readonly BlockingCollection<string> outgoing = new BlockingCollection<string>();
        private CancellationTokenSource running;
        private volatile bool connected;
        private int made;

        public Game(string url)
        {
            this.url = url;
        }

        /// <summary>Opens the connection, and opens it again whenever it is lost, until <see cref="Close"/>.</summary>
        public void Connect()
        {
            running = new CancellationTokenSource();
            Task.Run(() => Run(running.Token));
        }

        /// <summary>Closes the connection for good.</summary>
        public void Close()
        {
            running?.Cancel();
        }

        /// <summary>Raises the events of all that came since the last call.</summary>
        public void Update()
        {
            while (arrived.TryDequeue(out var next)) next();
        }

        /// <summary>Says something to an NPC; returns the turn's id.</summary>
        public string Say(string npc, string text, Message state = null)
        {
            return Begin(new Message { { "npc", npc }, { "text", text }, { "state", state ?? new Message() } });
        }

        /// <summary>Lets an NPC speak first, because of "approach" or something that happened.</summary>
        public string Greet(string npc, string cause = "approach")
        {
            return Begin(new Message { { "npc", npc }, { "text", "" }, { "cause", cause } });
        }

        /// <summary>Barge-in: the NPC stops, and remembers what the player heard. Stop your sound first.</summary>
        public void Interrupt(string turn, int sentence = 0, int milliseconds = 0)
        {
            Send(new Message { { "type", "played" }, { "turn_id", turn }, { "sentence", sentence }, { "ms", milliseconds } });
            Send(new Message { { "type", "cancel" }, { "turn_id", turn } });
        }

        /// <summary>The player comes near these NPCs.</summary>
        public void Approach(params string[] npcs)
        {
            Send(new Message { { "type", "prefetch" }, { "npcs", npcs }, { "player", Player }, { "save", Save } });
        }

        /// <summary>Something happened in the game; with speak, the NPC says something about it.</summary>
        public void Happened(string npc, string kind, Message data = null, bool speak = false)
        {
            Send(new Message
            {
                { "type", "event" }, { "npc", npc }, { "kind", kind }, { "player", Player }, { "save", Save },
                { "data", data ?? new Message() }, { "speak", speak }
            });
        }

        /// <summary>What became of an NPC's action: "done", "failed" or "refused".</summary>
        public void Result(string decision, string outcome, string reason = "", bool speak = false)
        {
            Send(new Message
            {
                { "type", "result" }, { "decision_id", decision }, { "outcome", outcome }, { "reason", reason },
                { "speak", speak }
            });
        }

        /// <summary>The game was saved.</summary>
        public void Saved(string tag)
        {
            Send(new Message { { "type", "snapshot" }, { "tag", tag }, { "save", Save } });
        }

        /// <summary>The game was loaded.</summary>
        public void Loaded(string tag)
        {
            Send(new Message { { "type", "rollback" }, { "tag", tag }, { "save", Save } });
        }

        /// <summary>Sends any message of the protocol.</summary>
        public void Send(Message message)
        {
            if (connected) outgoing.Add(Json.Write(message));
            else Error?.Invoke("There is no connection to the server.");
        }

        private string Begin(Message fields)
        {
            var id = Protocol + "-" + ++made;
            turns[id] = new Turn();
            var message = new Message { { "type", "turn" }, { "player", Player }, { "save", Save }, { "turn_id", id } };
            foreach (var field in fields) message[field.Key] = field.Value;
            Send(message);
            return id;
        }

        // ── in the background ───────────────────────────────────────────────────────────────────────

        private async Task Run(CancellationToken stopping)
        {
            var wait = FirstWait;
            while (!stopping.IsCancellationRequested)
            {
                var reason = "the server cannot be reached";
                try
                {
                    using (var socket = new ClientWebSocket())
                    {
                        socket.Options.AddSubProtocol(Protocol);
                        if (Key != "") socket.Options.SetRequestHeader("Authorization", "Bearer " + Key);
                        await socket.ConnectAsync(new Uri(url), stopping);
                        while (outgoing.TryTake(out _)) { }
                        connected = true;
                        using (var ending = CancellationTokenSource.CreateLinkedTokenSource(stopping))
                        {
                            var sending = Task.Run(() => SendAll(socket, ending.Token));
                            reason = await Receive(socket, stopping, () => wait = FirstWait);
                            ending.Cancel();
                            await sending;
                        }
                    }
                }
                catch (Exception error) when (!(error is OperationCanceledException))
                {
                    reason = error.GetBaseException().Message;
                }
                catch (OperationCanceledException)
                {
                }
                connected = false;
                var next = wait;
                arrived.Enqueue(() => End(reason, next));
                if (stopping.IsCancellationRequested) return;
                await Task.Delay(TimeSpan.FromSeconds(wait)).ConfigureAwait(false);
                wait = Math.Min(LongestWait, wait * 2);
            }
        }

        private async Task SendAll(ClientWebSocket socket, CancellationToken ending)
        {
            try
            {
                foreach (var text in outgoing.GetConsumingEnumerable(ending))
                {
                    var bytes = new ArraySegment<byte>(Encoding.UTF8.GetBytes(text));
                    await socket.SendAsync(bytes, WebSocketMessageType.Text, true, ending);
                }
            }
            catch (Exception)
            {
                // The connection ended: the receiver says why.
            }
        }

        private async Task<string> Receive(ClientWebSocket socket, CancellationToken stopping, Action welcomed)
        {
            var buffer = new ArraySegment<byte>(new byte[65536]);
            while (true)
            {
                using (var whole = new MemoryStream())
                {
                    WebSocketReceiveResult result;
                    do
                    {
                        result = await socket.ReceiveAsync(buffer, stopping);
                        if (result.MessageType == WebSocketMessageType.Close)
                        {
                            return "the connection ended (" + (int?)result.CloseStatus + ")";
                        }
                        whole.Write(buffer.Array, 0, result.Count);
                    } while (!result.EndOfMessage);
                    var data = whole.ToArray();
                    if (result.MessageType == WebSocketMessageType.Binary)
                    {
                        arrived.Enqueue(() => Hear(data));
                        continue;
                    }
                    var message = (Message)Json.Read(Encoding.UTF8.GetString(data));
                    if (Text(message, "type") == "welcome") welcomed();
                    arrived.Enqueue(() => Take(message));
                }
            }
        }

        // ── in the game's thread ────────────────────────────────────────────────────────────────────

        private void Take(Message message)
        {
            var turn = Text(message, "turn_id");
            switch (Text(message, "type"))
            {
                case "welcome":
                    Send(new Message
                    {
                        { "type", "hello" }, { "client", "rfsn-client c#" }, { "audio", Audio }, { "visemes", Visemes }
                    });
                    Ready?.Invoke(((List<object>)message["npcs"]).Cast<Message>().ToList());
                    break;
                case "turn.started":
                    if (!turns.ContainsKey(turn)) turns[turn] = new Turn(); // the NPC speaks first
                    turns[turn].Number = Number(message, "turn_no");
                    numbers[turns[turn].Number] = turn;
                    break;
                case "decision":
                    Decided?.Invoke(turn, message);
                    break;
                case "sentence":
                    Sentence?.Invoke(turn, Number(message, "index"), Text(message, "text"));
                    break;
                case "speech.started":
                    if (turns.TryGetValue(turn, out var speaking))
                    {
                        speaking.Rates[Number(message, "sentence")] = Number(message, "sample_rate");
                    }
                    break;
                case "visemes":
                    Mouth?.Invoke(turn, Number(message, "sentence"), (List<object>)message["visemes"]);
                    break;
                case "speech.finished":
                    Spoken?.Invoke(turn, Number(message, "sentence"));
                    break;
                case "state":
                    StateChanged?.Invoke(message);
                    break;
                case "turn.finished":
                case "turn.cancelled":
                    Finish(turn, Text(message, "text"));
                    break;
                case "turn.failed":
                case "error":
                    Error?.Invoke(Text(message, "message"));
                    Finish(turn, "");
                    break;
                default:
                    OtherMessage?.Invoke(message);
                    break;
            }
        }

        private void Hear(byte[] frame)
        {
            if (frame.Length <= Header || frame[0] != 1) return;
            int sentence = frame[2] | frame[3] << 8;
            var number = frame[4] | frame[5] << 8 | frame[6] << 16 | frame[7] << 24;
            if (!numbers.TryGetValue(number, out var turn)) return;
            var samples = new short[(frame.Length - Header) / 2];
            for (var index = 0; index < samples.Length; index++)
            {
                samples[index] = (short)(frame[Header + 2 * index] | frame[Header + 2 * index + 1] << 8);
            }
            turns[turn].Rates.TryGetValue(sentence, out var rate);
            Sound?.Invoke(turn, sentence, rate, samples);
        }

        private void Finish(string turn, string text)
        {
            if (!turns.TryGetValue(turn, out var known)) return;
            turns.Remove(turn);
            numbers.Remove(known.Number);
            Finished?.Invoke(turn, text);
        }

        private void End(string reason, double wait)
        {
            foreach (var turn in turns.Keys.ToList()) Finish(turn, "");
            if (!running.IsCancellationRequested) Lost?.Invoke(reason, wait);
        }

        /// <summary>Returns a text of a message; empty when there is none.</summary>
        public static string Text(Message message, string key)
        {
            return message.TryGetValue(key, out var value) ? value as string ?? "" : "";
        }

        private static int Number(Message message, string key)
        {
            return message.TryGetValue(key, out var value) && value is double ? (int)(double)value : 0;
        }
    }
}
