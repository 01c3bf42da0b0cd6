-- Records of a namespace by key, looking at a bounded number of them.
-- flags: no-writes
-- parts: base records
-- ARGV: now, namespace, prefix, where to begin (a bound of ZRANGEBYLEX), limit, whether to go back.
-- Answers records, each with its key first, and the last key that was looked at ('' there are no more).
local LOOKS = 500
local found, rows, last = nil, {}, ''
if ARGV[6] == '1' then
  found = call('ZREVRANGEBYLEX', P .. 'ok:' .. ARGV[2], ARGV[4], '-', 'LIMIT', 0, LOOKS)
else
  found = call('ZRANGEBYLEX', P .. 'ok:' .. ARGV[2], ARGV[4], '+', 'LIMIT', 0, LOOKS)
end
for i, key in ipairs(found) do
  if key:sub(1, #ARGV[3]) ~= ARGV[3] then
    return {rows, ''}
  end
  if #rows >= tonumber(ARGV[5]) then
    return {rows, last}
  end
  last = key
  local row, flat = lasting(ARGV[2], key)
  if row then
    rows[#rows + 1] = {key, flat}
  end
end
return {rows, #found == LOOKS and last or ''}
