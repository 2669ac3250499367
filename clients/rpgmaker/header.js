/*:
 * @target MZ
 * @plugindesc NPCs with a mind and a voice (RFSN).
 * @author RFSN
 *
 * @help
 * NPCs decide, speak and remember by themselves. Start the server first:
 *
 *   rfsn serve my_world
 *
 * RPG Maker's test play comes from an address of its own, so the server must be told that it may connect. Put the address that
 * the server's log names into its rfsn.toml:
 *
 *   [server]
 *   origins = ["chrome-extension://..."]
 *
 * Then use the plugin commands. Saving and loading the game saves and loads what the NPCs know.
 *
 * @param url
 * @text Address
 * @default ws://127.0.0.1:8765/v1/ws
 * @param player
 * @text Player
 * @desc Who speaks. NPCs have a relationship with each player.
 * @default player
 * @param key
 * @text Key
 * @desc The server's key, if it has one.
 * @param sound
 * @text Sound
 * @type boolean
 * @default true
 * @param gesture
 * @text Action variable
 * @desc A variable that gets the NPC's action, before it speaks.
 * @type variable
 * @default 0
 *
 * @command say
 * @text Say
 * @desc The player says something; the event waits for the answer.
 * @arg npc
 * @text NPC
 * @desc Its id, as in the world's folder npcs.
 * @arg text
 * @text Text
 * @arg variable
 * @text or Variable
 * @desc A variable that holds the text, for example from a text input plugin.
 * @type variable
 * @default 0
 *
 * @command greet
 * @text Greet
 * @desc The NPC speaks first.
 * @arg npc
 * @text NPC
 *
 * @command interrupt
 * @text Interrupt
 * @desc The NPC stops talking.
 *
 * @command approach
 * @text Approach
 * @desc The player comes near: the NPC's memory is read in advance.
 * @arg npc
 * @text NPC
 *
 * @command event
 * @text Event
 * @desc Something happened that the NPC knows of.
 * @arg npc
 * @text NPC
 * @arg kind
 * @text Kind
 * @desc gift, promise_kept, promise_broken, betrayal, saved_life, attacked, witnessed_crime, quest_started, quest_completed, ...
 * @arg what
 * @text What
 */
