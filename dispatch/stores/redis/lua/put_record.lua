-- Writes a record unless another version stands there.
-- parts: base records
-- ARGV: now, namespace, key, value, version that must stand there ('' any), expiry (microseconds; '' never).
local namespace, key = ARGV[2], ARGV[3]
local before = lasting(namespace, key)
local version = before and before.v or '0'
if ARGV[5] ~= '' and ARGV[5] ~= version then
  return false
end
local created = before and before.c or NOW_TEXT
forget(namespace, key)
local at = record_key(namespace, key)
call('HSET', at, 'p', ARGV[4], 'v', text(tonumber(version) + 1), 'c', created, 'u', NOW_TEXT)
call('ZADD', P .. 'ok:' .. namespace, 0, key)
call('ZADD', P .. 'on', 0, namespace)
if ARGV[6] ~= '' then
  local expires = text(NOW + tonumber(ARGV[6]))
  call('HSET', at, 'ex', expires)
  call('ZADD', P .. 'ox', expires, pair(namespace, key))
end
wake()
return call('HGETALL', at)
