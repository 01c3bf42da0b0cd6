-- Jobs that match, newest id first, looking at a bounded number of rows.
-- flags: no-writes
-- parts: base keys rows
-- ARGV: now, cursor ('' from the start), limit, filters as JSON: states, kinds, queues, names, tags (lists; absent: any),
-- app and org (absent: every tenant), after and before (microseconds as text).
-- Answers rows and where to look further ('' nowhere).
local LOOKS = 500
local limit, filters = tonumber(ARGV[3]), cjson.decode(ARGV[4])
local below = ARGV[2] == '' and '+' or '(' .. ARGV[2]

local function set_of(list)
  if not list then
    return nil
  end
  local set = {}
  for _, value in ipairs(list) do
    set[value] = true
  end
  return set
end
local kinds, queues, names = set_of(filters.kinds), set_of(filters.queues), set_of(filters.names)
local scoped, app, org = filters.app ~= nil, filters.app, filters.org
local after, before = tonumber(filters.after), tonumber(filters.before)

local function has_tags(found)
  local carried = set_of(cjson.decode(found or '[]'))
  for _, tag in ipairs(filters.tags) do
    if not carried[tag] then
      return false
    end
  end
  return true
end

local function matches(row)
  return (not kinds or kinds[row.k or 'job']) and (not queues or queues[row.q]) and (not names or names[row.n])
    and in_scope(row, scoped, app, org)
    and (not after or tonumber(row.c) > after) and (not before or tonumber(row.c) < before)
    and (not filters.tags or has_tags(row.t))
end

-- Sets of ids to merge. Those of running rows stand by their leases: they are read as a whole, as few as slots.
local sources = {}
local function add_source(key, by_lease)
  if call('EXISTS', key) == 0 then
    return
  end
  local source = {key = key, buffer = {}, at = 1, below = below}
  if by_lease then
    for _, id in ipairs(call('ZRANGE', key, 0, -1)) do
      if ARGV[2] == '' or id < ARGV[2] then
        source.buffer[#source.buffer + 1] = id
      end
    end
    table.sort(source.buffer, function(a, b) return a > b end)
    source.whole = true
  end
  sources[#sources + 1] = source
end
if scoped and (app ~= '' or org ~= '') then
  for _, state in ipairs(filters.states) do
    add_source(P .. 't:' .. state .. ':' .. app .. '/' .. org, false)
  end
else
  each_cell(filters.queues, names, kinds, function(cell)
    for _, state in ipairs(filters.states) do
      add_source(P .. 's:' .. state .. ':' .. cell, state == 'R')
    end
  end)
end

local batch = math.max(4, math.ceil(2 * (limit + 1) / math.max(1, #sources)))
local function head(source)
  if source.at > #source.buffer and not source.whole then
    source.buffer = call('ZREVRANGEBYLEX', source.key, source.below, '-', 'LIMIT', 0, batch)
    source.at = 1
    if #source.buffer > 0 then
      source.below = '(' .. source.buffer[#source.buffer]
    end
    source.whole = #source.buffer < batch
  end
  return source.buffer[source.at]
end

local rows, looked, last = {}, 0, nil
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
    return {rows, last or ''}
  end
  looked, last = looked + 1, best_id
  best.at = best.at + 1
  local row, flat = job(best_id)
  if row and matches(row) then
    rows[#rows + 1] = shown(best_id, row, flat)
  end
end
