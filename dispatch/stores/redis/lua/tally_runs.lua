-- How many runs there are from behind one on, with checkpoints, ends of children and waits, of a bounded number of runs.
-- flags: no-writes
-- parts: base
-- ARGV: now, run ('' from the start). Answers the numbers and the last run ('' it was the end).
local AT_A_TIME = 500
local ids = call('ZRANGEBYLEX', P .. 'fi', ARGV[2] == '' and '-' or '(' .. ARGV[2], '+', 'LIMIT', 0, AT_A_TIME)
local checkpoints, ends, waits = 0, 0, 0
for _, id in ipairs(ids) do
  checkpoints = checkpoints + call('HLEN', P .. 'fn:' .. id)
  ends = ends + call('HLEN', P .. 'fr:' .. id)
  waits = waits + call('HLEN', P .. 'fw:' .. id)
end
return {#ids, checkpoints, ends, waits, #ids == AT_A_TIME and ids[#ids] or ''}
