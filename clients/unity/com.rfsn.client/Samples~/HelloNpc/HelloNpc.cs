using Rfsn;
using UnityEngine;

/// <summary>Put it next to an RfsnNpc, and press T in play mode.</summary>
public sealed class HelloNpc : MonoBehaviour
{
    private string subtitle = "";

    private void Start()
    {
        var npc = GetComponent<RfsnNpc>();
        npc.Decided.AddListener(action => Debug.Log("gesture: " + action));
        npc.Said.AddListener(text => subtitle = text);
        npc.Failed.AddListener(message => subtitle = message);
    }

    private void Update()
    {
        if (Input.GetKeyDown(KeyCode.T)) GetComponent<RfsnNpc>().Hear("Good evening!");
        if (Input.GetKeyDown(KeyCode.Escape)) GetComponent<RfsnNpc>().Interrupt();
    }

    private void OnGUI()
    {
        GUI.Label(new Rect(20, Screen.height - 60, Screen.width - 40, 50), subtitle);
    }
}
