-- Entries of a channel after a position (-1: none, only the present end).
-- flags: no-writes
-- parts: base channels
-- ARGV: now, channel, position, limit. Answers entries, the present end, and where the log begins.
local last, floor = channel_state(ARGV[2])
local entries = {}
if tonumber(ARGV[3]) >= 0 then
  entries = call('XRANGE', P .. 'y:' .. ARGV[2], '(' .. ARGV[3] .. '-0', '+', 'COUNT', ARGV[4])
end
return {entries, last, floor}
