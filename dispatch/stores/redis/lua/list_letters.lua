-- Dead letters that match, newest id first, looking at a bounded number of them.
-- flags: no-writes
-- parts: base keys rows letters
-- ARGV: now, cursor ('' from the start), limit, what ("rows"; "facts": name, error type, time and id; "count"), filters
-- as JSON: states, queues, names, errors (lists; absent: any), app and org (absent: every tenant), before.
-- Answers what was asked and where to look further ('' nowhere).
local LOOKS = 500
local limit, what, filters = tonumber(ARGV[3]), ARGV[4], cjson.decode(ARGV[5])
local function set_of(list)
  local set = {}
  for _, value in ipairs(list or {}) do
    set[value] = true
  end
  return list and set
end
local queues, names, errors = set_of(filters.queues), set_of(filters.names), set_of(filters.errors)
local before, scoped = tonumber(filters.before), filters.app ~= nil
local sources = {}
for _, state in ipairs(filters.states or LETTER_STATES) do
  local below = ARGV[2] == '' and '+' or '(' .. ARGV[2]
  sources[#sources + 1] = {key = P .. 'xs:' .. state, buffer = {}, at = 1, below = below}
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

local rows, count, looked, last = {}, 0, 0, ''
while true do
  local best, best_id
  for _, source in ipairs(sources) do
    local id = head(source)
    if id and (not best or id > best_id) then
      best, best_id = source, id
    end
  end
  if not best then
    last = ''
    break
  end
  if count >= limit or looked >= LOOKS then
    break
  end
  looked, last = looked + 1, best_id
  best.at = best.at + 1
  local found = call('HMGET', P .. 'x:' .. best_id, 'q', 'n', 'et', 'ap', 'og', 'c')
  if found[1] and (not queues or queues[found[1]]) and (not names or names[found[2]])
    and (not errors or errors[found[3] or '']) and (not before or tonumber(found[6]) < before)
    and in_scope({ap = found[4] or nil, og = found[5] or nil}, scoped, filters.app, filters.og or filters.org) then
    count = count + 1
    if what == 'rows' then
      rows[count] = shown_letter(best_id, call('HGETALL', P .. 'x:' .. best_id))
    elseif what == 'facts' then
      rows[count] = {found[2], found[3] or '', found[6], best_id}
    end
  end
end
return {what == 'count' and count or rows, last}
