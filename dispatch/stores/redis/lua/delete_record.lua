-- Removes a record, unless it has another version.
-- flags: allow-oom
-- parts: base records
-- ARGV: now, namespace, key, version ('' any).
local before = lasting(ARGV[2], ARGV[3])
if not before then
  return 'missing'
end
if ARGV[4] ~= '' and ARGV[4] ~= before.v then
  return 'conflict'
end
forget(ARGV[2], ARGV[3])
wake()
return 'applied'
