-- Events that match, newest id first, looking at a bounded number of them.
-- flags: no-writes
-- parts: base keys rows
-- ARGV: now, cursor ('' from the start), limit, filters as JSON: names (absent: any), key, app and org.
-- Answers events and where to look further ('' nowhere).
local LOOKS = 500
local limit, filters = tonumber(ARGV[3]), cjson.decode(ARGV[4])
local sources = {}
local function add_source(key)
  sources[#sources + 1] = {key = key, buffer = {}, at = 1, below = ARGV[2] == '' and '+' or '(' .. ARGV[2]}
end
if filters.names then
  for _, name in ipairs(filters.names) do
    add_source(P .. 'en:' .. name)
  end
else
  add_source(P .. 'ei')
end
local function head(source)
  if source.at > #source.buffer and not source.whole then
    source.buffer = call('ZREVRANGEBYLEX', source.key, source.below, '-', 'LIMIT', 0, 50)
    source.at = 1
    source.below = #source.buffer > 0 and '(' .. source.buffer[#source.buffer] or source.below
    source.whole = #source.buffer < 50
  end
  return source.buffer[source.at]
end

local rows, looked, last = {}, 0, ''
while true do
  local best, best_id
  for _, source in ipairs(sources) do
    local id = head(source)
    if id and (not best or id > best_id) then
      best, best_id = source, id
    end
  end
  if not best then
    return {rows, ''}
  end
  if #rows >= limit or looked >= LOOKS then
    return {rows, last}
  end
  looked, last = looked + 1, best_id
  best.at = best.at + 1
  local row, flat = hash(P .. 'e:' .. best_id)
  if row and (not filters.key or row.key == filters.key) and in_scope(row, filters.app ~= nil, filters.app, filters.org)
  then
    flat[#flat + 1] = 'id'
    flat[#flat + 1] = best_id
    rows[#rows + 1] = flat
  end
end
