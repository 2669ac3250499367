extends AudioStreamPlayer
# Plays the sound of NPCs. Connect the signal `sound` of rfsn.gd to `play_sound`.

var _queue = []  # PoolVector2Arrays that wait for room
var _rate = 0
var _turn = ""
var _sentence = 0
var _begun = 0.0

# Queues PCM16 samples.
func play_sound(turn, sentence, sample_rate, data):
	if sample_rate != _rate or not playing:
		_rate = sample_rate
		stream = AudioStreamGenerator.new()
		stream.mix_rate = sample_rate
		stream.buffer_length = 0.5
		play()
	if turn != _turn or sentence != _sentence:
		_turn = turn
		_sentence = sentence
		_begun = OS.get_ticks_msec()
	var frames = PoolVector2Array()
	frames.resize(data.size() / 2)
	for index in range(frames.size()):
		var value = data[2 * index] | data[2 * index + 1] << 8
		var level = (value - 65536 if value >= 32768 else value) / 32768.0
		frames[index] = Vector2(level, level)
	_queue.append(frames)

# Barge-in: silence; returns [turn, sentence, ms] for `interrupt`.
func hush():
	_queue.clear()
	stop()
	return [_turn, _sentence, int(OS.get_ticks_msec() - _begun)]

func _process(_delta):
	if not playing:
		return
	var playback = get_stream_playback()
	while not _queue.empty():
		var room = playback.get_frames_available()
		if room <= 0:
			return
		var frames = _queue[0]
		if frames.size() <= room:
			playback.push_buffer(frames)
			_queue.pop_front()
		else:
			var part = PoolVector2Array()
			for index in range(room):
				part.append(frames[index])
			playback.push_buffer(part)
			var rest = PoolVector2Array()
			for index in range(room, frames.size()):
				rest.append(frames[index])
			_queue[0] = rest
