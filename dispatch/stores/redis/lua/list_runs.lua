-- Runs that match, newest id first, looking at a bounded number of them.
-- flags: no-writes
-- parts: base keys rows moves runs shown_runs
-- ARGV: now, cursor ('' from the start), limit, filters as JSON: states, names (lists; absent: any), version, parent,
-- app and org (absent: every tenant), after and before (microseconds as text).
-- Answers runs and where to look further ('' nowhere).
local LOOKS = 500
local limit, filters = tonumber(ARGV[3]), cjson.decode(ARGV[4])
local states = filters.states or {'P', 'R', 'W', 'K', 'C', 'F', 'X', 'B'}

local function set_of(list)
  local set = {}
  for _, value in ipairs(list or {}) do
    set[value] = true
  end
  return set
end
local wanted_states, wanted_names = set_of(states), set_of(filters.names)
local scoped, app, org = filters.app ~= nil, filters.app, filters.org
local after, before = tonumber(filters.after), tonumber(filters.before)

local function matches(id)
  local found = call('HMGET', run_key(id), 'st', 'n', 'v', 'pa', 'c', 'ap', 'og')
  local run = {ap = found[6] or nil, og = found[7] or nil}
  return found[1] and wanted_states[found[1]] and (not filters.names or wanted_names[found[2]])
    and (not filters.version or found[3] == filters.version) and (not filters.parent or found[4] == filters.parent)
    and (not after or tonumber(found[5]) > after) and (not before or tonumber(found[5]) < before)
    and in_scope(run, scoped, app, org)
end

local sources = {}
local function add_source(key)
  sources[#sources + 1] = {key = key, buffer = {}, at = 1, below = ARGV[2] == '' and '+' or '(' .. ARGV[2]}
end
if filters.parent then
  local children = {}
  for _, id in ipairs(call('SMEMBERS', P .. 'fk:' .. filters.parent)) do
    if ARGV[2] == '' or id < ARGV[2] then
      children[#children + 1] = id
    end
  end
  table.sort(children, function(a, b) return a > b end)
  sources[1] = {buffer = children, at = 1, whole = true}
elseif scoped and (app ~= '' or org ~= '') then
  for _, state in ipairs(states) do
    add_source(P .. 'ft:' .. state .. ':' .. app .. '/' .. org)
  end
else
  for _, name in ipairs(filters.names or call('SMEMBERS', P .. 'fa')) do
    for _, state in ipairs(states) do
      if call('EXISTS', P .. 'fs:' .. state .. ':' .. name) == 1 then
        add_source(P .. 'fs:' .. state .. ':' .. name)
      end
    end
  end
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
  if matches(best_id) then
    rows[#rows + 1] = shown_run(best_id, false)
  end
end
