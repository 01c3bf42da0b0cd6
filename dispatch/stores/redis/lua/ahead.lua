-- How many claimable jobs stand before one in its lane.
-- flags: allow-oom
-- parts: base keys rows moves concurrency place ready admit
-- ARGV: now, id, limit.
local row = job(ARGV[2])
if not row or (row.st ~= 'P' and row.st ~= 'T') then
  return 0
end
promote(row.q, nil, 200)
local lane, score, member = row.l or '', -tonumber(row.o or 0), stamp(row.r) .. ARGV[2]
local count = 0
for _, name in ipairs(call('SMEMBERS', P .. 'rn:' .. row.q)) do
  local key = ready_key(row.q, name, lane)
  count = count + before(key, score, member)
end
return math.min(count, tonumber(ARGV[3]))
