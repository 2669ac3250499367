using System.Collections.Generic;
using UnityEngine;
using UnityEngine.Events;

namespace Rfsn
{
    /// <summary>An NPC that talks: put it on the object with the mouth. All of them share one connection.</summary>
    [RequireComponent(typeof(AudioSource))]
    public sealed class RfsnNpc : MonoBehaviour
    {
        private const int Seconds = 30;

        [SerializeField] private string url = "ws://127.0.0.1:8765/v1/ws";
        [SerializeField] private string npc = "innkeeper";
        [SerializeField] private string player = "player";
        [SerializeField] private string save = "default";

        [Tooltip("The action, before the first word: start the gesture.")]
        public UnityEvent<string> Decided;
        [Tooltip("A sentence for the subtitle.")]
        public UnityEvent<string> Said;
        [Tooltip("The NPC is silent again.")]
        public UnityEvent Silent;
        [Tooltip("A sentence about what went wrong.")]
        public UnityEvent<string> Failed;

        private static Game game;
        private static int users;
        private readonly Queue<float> queue = new Queue<float>();
        private AudioSource source;
        private string turn = "";
        private int sentence;
        private int rate = 22050;
        private long played, sentenceStart, queued;

        private void OnEnable()
        {
            source = GetComponent<AudioSource>();
            if (users++ == 0)
            {
                game = new Game(url) { Player = player, Save = save };
                game.Connect();
            }
            game.Decided += OnDecided;
            game.Sentence += OnSentence;
            game.Sound += OnSound;
            game.Finished += OnFinished;
            game.Error += OnFailed;
            game.Lost += OnLost;
        }

        private void OnDisable()
        {
            game.Decided -= OnDecided;
            game.Sentence -= OnSentence;
            game.Sound -= OnSound;
            game.Finished -= OnFinished;
            game.Error -= OnFailed;
            game.Lost -= OnLost;
            if (--users == 0) game.Close();
        }

        private void Update()
        {
            game.Update();
        }

        /// <summary>The player says something to this NPC.</summary>
        public void Hear(string text)
        {
            Interrupt();
            turn = game.Say(npc, text);
        }

        /// <summary>The player comes near: the NPC greets.</summary>
        public void Greet()
        {
            game.Approach(npc);
            turn = game.Greet(npc);
        }

        /// <summary>The player interrupts: silence, and the NPC remembers what was heard.</summary>
        public void Interrupt()
        {
            if (turn == "") return;
            source.Stop();
            int heard;
            lock (queue)
            {
                queue.Clear();
                heard = (int)((played - sentenceStart) * 1000 / rate);
            }
            game.Interrupt(turn, sentence, Mathf.Max(1, heard));
        }

        private void OnDecided(string of, Dictionary<string, object> decision)
        {
            if (of == turn) Decided.Invoke(Game.Text(decision, "action"));
        }

        private void OnSentence(string of, int index, string text)
        {
            if (of == turn) Said.Invoke(text);
        }

        private void OnSound(string of, int index, int sampleRate, short[] samples)
        {
            if (of != turn) return;
            lock (queue)
            {
                if (index != sentence) sentenceStart = queued;
                sentence = index;
                foreach (var sample in samples) queue.Enqueue(sample / 32768f);
                queued += samples.Length;
            }
            if (source.isPlaying && rate == sampleRate) return;
            rate = sampleRate;
            source.clip = AudioClip.Create(npc, sampleRate * Seconds, 1, sampleRate, true, Read);
            source.loop = true;
            source.Play();
        }

        private void Read(float[] data)
        {
            lock (queue)
            {
                for (var index = 0; index < data.Length; index++)
                {
                    data[index] = queue.Count > 0 ? queue.Dequeue() : 0;
                    if (queue.Count > 0) played++;
                }
            }
        }

        private void OnFinished(string of, string text)
        {
            if (of != turn) return;
            turn = "";
            Silent.Invoke();
        }

        private void OnFailed(string message)
        {
            Failed.Invoke(message);
        }

        private void OnLost(string reason, double seconds)
        {
            Failed.Invoke(reason);
        }
    }
}
