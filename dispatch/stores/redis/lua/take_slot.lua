-- Takes one leased slot of a queue, counted with its running rows; or renews it.
-- flags: allow-oom
-- parts: base keys rows gates
-- ARGV: now, queue, holder, lease (microseconds), limit ('' none), whether it is a renewal.
-- The limit that a slot was taken under stays in the hash sc:<queue>.
local queue, holder, renewal = ARGV[2], ARGV[3], ARGV[6] == '1'
local key, limits = P .. 'sl:' .. queue, P .. 'sc:' .. queue
local mine = tonumber(call('ZSCORE', key, holder) or nil)
if renewal and not mine then
  return 'stale'
end
local limit = renewal and (call('HGET', limits, holder) or '') or ARGV[5]
local most = tonumber(call('HGET', P .. 'qs:' .. queue, 'mc') or nil) or tonumber(limit)
if most and (not mine or mine <= NOW) and running_in(queue) + live_slots(queue) >= most then
  if renewal then
    call('ZREM', key, holder)
    call('HDEL', limits, holder)
    return 'stale'
  end
  return 'conflict'
end
for _, lapsed in ipairs(call('ZRANGEBYSCORE', key, '-inf', NOW_TEXT, 'LIMIT', 0, 20)) do
  if lapsed ~= holder and not renewal then
    call('ZREM', key, lapsed)
    call('HDEL', limits, lapsed)
  end
end
call('ZADD', key, text(NOW + tonumber(ARGV[4])), holder)
if limit ~= '' then
  call('HSET', limits, holder, limit)
elseif not renewal then
  call('HDEL', limits, holder)
end
call('SADD', P .. 'q', queue)
return 'applied'
