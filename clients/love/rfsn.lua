-- NPCs with a mind and a voice: a client for RFSN, for LÖVE 11. It has no websockets, so it uses HTTP: sentences arrive one by
-- one, sound is asked for by the sentence. Everything happens in `update`, and nothing waits.
--
--   local rfsn = require("rfsn").new({ player = "Ada" })
--   function rfsn.sentence(npc, text) subtitle = text end
--   function rfsn.failed(message) subtitle = message end
--   rfsn:say("innkeeper", "Good evening!")
--   function love.update() rfsn:update() end

local socket = require("socket")

local Rfsn = {}
Rfsn.__index = Rfsn
local LONGEST_WAIT = 10

local function nothing() end

function Rfsn.new(options)
  options = options or {}
  local self = setmetatable({}, Rfsn)
  self.host, self.port = options.host or "127.0.0.1", options.port or 8765
  self.player, self.save, self.key = options.player or "player", options.save or "default", options.key or ""
  self.first_wait = options.wait or 0.5
  self.requests = {}
  self.sentence = nothing -- (npc, text)
  self.finished = nothing -- (npc)
  self.failed = nothing -- (message)
  self.lost = nothing -- (seconds until the next attempt)
  self.sound = nothing -- (npc, SoundData)
  return self
end

-- JSON: enough for what we send and get.
local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

function Rfsn.encode(value)
  local kind = type(value)
  if kind == "table" then
    local parts = {}
    if #value > 0 then
      for _, item in ipairs(value) do parts[#parts + 1] = Rfsn.encode(item) end
      return "[" .. table.concat(parts, ",") .. "]"
    end
    for name, item in pairs(value) do parts[#parts + 1] = Rfsn.encode(tostring(name)) .. ":" .. Rfsn.encode(item) end
    return "{" .. table.concat(parts, ",") .. "}"
  elseif kind == "string" then
    return '"' .. value:gsub('[%c"\\]', function(c) return escapes[c] or string.format("\\u%04x", c:byte()) end) .. '"'
  end
  return tostring(value)
end

local function utf8_char(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then
    return string.char(0xE0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
  end
  return string.char(0xF0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64,
    0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
end

local plain = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

-- Reads a JSON text from a place; returns the value and the place after it.
function Rfsn.decode(text, at)
  at = text:find("%S", at or 1)
  local c = text:sub(at, at)
  if c == '"' then
    local parts, from = {}, at + 1
    while true do
      local stop = text:find('["\\]', from)
      parts[#parts + 1] = text:sub(from, stop - 1)
      if text:sub(stop, stop) == '"' then return table.concat(parts), stop + 1 end
      local escaped = text:sub(stop + 1, stop + 1)
      from = stop + 2
      if escaped == "u" then
        local code = tonumber(text:sub(from, from + 3), 16)
        from = from + 4
        if code >= 0xD800 and code < 0xDC00 and text:sub(from, from + 1) == "\\u" then
          code = 0x10000 + (code - 0xD800) * 1024 + tonumber(text:sub(from + 2, from + 5), 16) - 0xDC00
          from = from + 6
        end
        parts[#parts + 1] = utf8_char(code)
      else
        parts[#parts + 1] = plain[escaped] or escaped
      end
    end
  elseif c == "{" or c == "[" then
    local value, close = {}, c == "{" and "}" or "]"
    at = text:find("%S", at + 1)
    if text:sub(at, at) == close then return value, at + 1 end
    while true do
      local name
      if close == "}" then
        name, at = Rfsn.decode(text, at)
        at = text:find(":", at, true) + 1
      else
        name = #value + 1
      end
      value[name], at = Rfsn.decode(text, at)
      at = text:find("%S", at)
      if text:sub(at, at) == close then return value, at + 1 end
      at = at + 1
    end
  end
  local word = text:match("^[%w+.-]+", at)
  local value = ({ ["true"] = true, ["false"] = false })[word]
  if value == nil and word ~= "null" then value = tonumber(word) end
  return value, at + #word
end

-- Says something to an NPC. `state` is the game's state.
function Rfsn:say(npc, text, state)
  local body = { npc_name = npc, user_input = text, player = self.player, save = self.save }
  if state and next(state) then body.state = state end
  self:_request("/chat", body, { npc = npc, wait = self.first_wait, line = function(_, line) self:_event(npc, line) end })
end

-- Asks for a sentence as sound; `sound` gets a SoundData. The server needs the plugin rfsn-dialect-openai.
function Rfsn:speak(npc, text)
  local body = { model = "rfsn", input = text, voice = npc, response_format = "wav" }
  self:_request("/v1/audio/speech", body, { npc = npc, wait = self.first_wait, whole = function(data)
    self.sound(npc, love.sound.newSoundData(love.filesystem.newFileData(data, "speech.wav")))
  end })
end

-- Barge-in: the NPC stops talking to this player, and remembers what arrived.
function Rfsn:interrupt(npc)
  for index = #self.requests, 1, -1 do
    local request = self.requests[index]
    if request.npc == npc then
      if request.socket then request.socket:close() end
      table.remove(self.requests, index)
      self.finished(npc)
    end
  end
end

function Rfsn:_request(path, body, request)
  local text = Rfsn.encode(body)
  local head = { "POST " .. path .. " HTTP/1.0", "Host: " .. self.host .. ":" .. self.port,
    "Content-Type: application/json", "Content-Length: " .. #text }
  if self.key ~= "" then head[#head + 1] = "Authorization: Bearer " .. self.key end
  request.out = table.concat(head, "\r\n") .. "\r\n\r\n" .. text
  request.again, request.buffer = 0, ""
  self.requests[#self.requests + 1] = request
end

-- Call it in `love.update`.
function Rfsn:update()
  for index = #self.requests, 1, -1 do
    local request = self.requests[index]
    if socket.gettime() >= request.again then
      local going, problem = self:_step(request)
      if not going then
        if request.socket then request.socket:close() end
        if problem == "lost" and not request.answered then
          -- The server is away: the same request is sent again, after a wait that grows.
          request.socket, request.sent, request.buffer, request.status = nil, nil, "", nil
          self.lost(request.wait)
          request.again = socket.gettime() + request.wait
          request.wait = math.min(LONGEST_WAIT, request.wait * 2)
        else
          table.remove(self.requests, index)
          if problem then self.failed(problem == "lost" and "The connection was lost." or problem) end
          self.finished(request.npc)
        end
      end
    end
  end
end

-- Does what can be done now; returns whether the request goes on, and what went wrong.
function Rfsn:_step(request)
  if not request.socket then
    request.socket = socket.tcp()
    request.socket:settimeout(0)
    request.socket:connect(self.host, self.port)
    request.sent = 0
  end
  if request.sent < #request.out then
    local _, writable = socket.select(nil, { request.socket }, 0)
    if #writable == 0 then return true end
    local last, problem, partial = request.socket:send(request.out, request.sent + 1)
    request.sent = last or partial or request.sent
    if problem and problem ~= "timeout" then return false, "lost" end
    return true
  end
  while true do
    local data, problem, partial = request.socket:receive(65536)
    data = data or partial
    request.buffer = request.buffer .. (data or "")
    self:_read(request)
    if request.over then return false, request.problem end
    if problem == "timeout" then return true end
    if problem then return self:_closed(request) end
  end
end

function Rfsn:_closed(request)
  if not request.status then return false, "lost" end
  if request.status == 200 and request.whole then
    request.whole(request.buffer)
    return false
  end
  if request.status ~= 200 then
    local read, answer = pcall(Rfsn.decode, request.buffer)
    local message = read and type(answer) == "table" and answer.error and answer.error.message
    return false, message or ("The server answered " .. request.status .. ".")
  end
  return false, "lost"
end

function Rfsn:_read(request)
  if not request.status then
    local head, rest = request.buffer:match("^(.-\r\n\r\n)(.*)$")
    if not head then return end
    request.status, request.buffer = tonumber(head:match("^HTTP/%S+ (%d+)")), rest
  end
  if request.status ~= 200 or not request.line then return end
  while true do
    local line, rest = request.buffer:match("^(.-)\r?\n(.*)$")
    if not line then return end
    request.buffer = rest
    if line:sub(1, 6) == "data: " then
      request.answered = true
      local event = Rfsn.decode(line:sub(7))
      if event.message then
        request.over, request.problem = true, event.message
      elseif event.is_final then
        request.over = true
      else
        request:line(event.sentence)
      end
    end
  end
end

function Rfsn:_event(npc, sentence)
  self.sentence(npc, sentence)
end

return Rfsn
