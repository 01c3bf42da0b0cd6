-- Stores a queue's limits, replacing what was there; what is in its bucket stays as far as the new one holds it.
-- flags: allow-oom
-- parts: base keys rows gates
-- ARGV: now, queue, fields.
local queue, key = ARGV[2], P .. 'qs:' .. ARGV[2]
local before = gate(queue)
call('HDEL', key, 'mc', 'rl', 'rb', 'fair', 'tc', 'tok', 'at')
call('HSET', key, 'set', '1', unpack(ARGV, 3))
local rate = tonumber(call('HGET', key, 'rl') or nil)
if rate then
  local burst = tonumber(call('HGET', key, 'rb') or nil) or math.max(1, rate)
  local tokens = before.tokens and math.min(burst, before.tokens) or (rate > 0 and burst or 0)
  call('HSET', key, 'tok', string.format('%.17g', tokens), 'at', NOW_TEXT)
end
call('SADD', P .. 'q', queue)
wake()
return 1
