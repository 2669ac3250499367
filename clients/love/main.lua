-- The test of rfsn.lua: says what the environment says, prints what comes, and ends.
local rfsn = require("rfsn").new({ port = tonumber(os.getenv("RFSN_PORT")), player = "Ada", wait = 0.05 })

local function show(...)
  print(rfsn.encode({ ... }))
  io.stdout:flush()
end

function rfsn.sentence(npc, text)
  show("sentence", npc, text)
  if os.getenv("RFSN_INTERRUPT") then rfsn:interrupt(npc) end
end

function rfsn.sound(npc, data) show("sound", npc, data:getSampleCount()) end
function rfsn.failed(message) show("error", message) end
function rfsn.lost() show("lost") end

function rfsn.finished(npc)
  show("finished", npc)
  if os.getenv("RFSN_SPEAK") and not asked then
    asked = true
    return rfsn:speak(npc, "Mind the step.")
  end
  love.event.quit()
end

function love.load() rfsn:say(os.getenv("RFSN_NPC"), os.getenv("RFSN_TEXT"), { place = "inn" }) end
function love.update() rfsn:update() end
