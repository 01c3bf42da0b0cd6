-- Rows of a kind in the order of their keys, from behind a cursor on, as their hashes; fewer where they are large.
-- flags: no-writes
-- parts: base keys runs channels_of_events rows letters records
-- ARGV: now, kind, after ('' from the start; of records the namespace, then the
-- key; of cron_ticks the entry, then the time), limit.
local kind, limit, BYTES = ARGV[2], tonumber(ARGV[#ARGV]), 4 * 1024 * 1024
local rows, size = {}, 0

local function add(row, flat)
  rows[#rows + 1] = row
  for _, part in ipairs(flat) do
    size = size + #part
  end
  return #rows < limit and size < BYTES
end

if kind == 'records' then
  local after, begin = ARGV[3], ARGV[4] == '' and '-' or '(' .. ARGV[4]
  for _, namespace in ipairs(call('ZRANGEBYLEX', P .. 'on', after == '' and '-' or '[' .. after, '+')) do
    local from = namespace == after and begin or '-'
    for _, key in ipairs(call('ZRANGEBYLEX', P .. 'ok:' .. namespace, from, '+', 'LIMIT', 0, limit - #rows)) do
      local flat = call('HGETALL', record_key(namespace, key))
      if not add({namespace, key, flat}, flat) then
        return rows
      end
    end
  end
  return rows
end

if kind == 'cron_ticks' then
  local after, ids = ARGV[3], call('SMEMBERS', P .. 'cs')
  table.sort(ids)
  for _, id in ipairs(ids) do
    if id >= after then
      local from = id == after and '(' .. ARGV[4] or '-inf'
      for _, time in ipairs(call('ZRANGEBYSCORE', P .. 'co:' .. id, from, '+inf', 'LIMIT', 0, limit - #rows)) do
        if not add({id, time, call('HGET', P .. 'ct:' .. id, time)}, {}) then
          return rows
        end
      end
    end
  end
  return rows
end

local sources = {}
local function add_source(key, by_lease)
  local source = {key = key, from = ARGV[3] == '' and '-' or '(' .. ARGV[3], buffer = {}, at = 1}
  if by_lease then
    for _, id in ipairs(call('ZRANGE', key, 0, -1)) do
      if id > ARGV[3] then
        source.buffer[#source.buffer + 1] = id
      end
    end
    table.sort(source.buffer)
    source.whole = true
  end
  sources[#sources + 1] = source
end
local function head(source)
  if source.at > #source.buffer and not source.whole then
    source.buffer = call('ZRANGEBYLEX', source.key, source.from, '+', 'LIMIT', 0, 50)
    source.at, source.whole = 1, #source.buffer < 50
    source.from = '(' .. (source.buffer[#source.buffer] or '')
  end
  return source.buffer[source.at]
end

if kind == 'jobs' then
  each_cell(nil, nil, nil, function(cell)
    for _, state in ipairs({'P', 'T', 'R', 'C', 'F', 'X'}) do
      local key = P .. 's:' .. state .. ':' .. cell
      if call('EXISTS', key) == 1 then
        add_source(key, state == 'R')
      end
    end
  end)
elseif kind == 'dlq' then
  for _, state in ipairs(LETTER_STATES) do
    add_source(P .. 'xs:' .. state)
  end
else
  add_source(P .. ({events = 'ei', unique_keys = 'uo', idempotency = 'io'})[kind])
end

local function read(id)
  if kind == 'jobs' then
    local row, flat = job(id)
    return row and {shown(id, row, flat), call('LRANGE', P .. 'a:' .. id, 0, -1)}, flat
  elseif kind == 'unique_keys' then
    return {id, call('HGET', P .. 'u', id)}, {}
  elseif kind == 'idempotency' then
    local tenant, key = id:match('^([^%z]*)%z(.*)$')
    return {tenant, key, call('HGET', P .. 'i', pair(tenant, key))}, {}
  end
  local flat = call('HGETALL', P .. (kind == 'dlq' and 'x:' or 'e:') .. id)
  if kind == 'events' then
    local about = call('HMGET', P .. 'e:' .. id, 'ri', 'n')
    if about[1] and not call('ZSCORE', mailbox(about[1], about[2]), id) then
      flat[#flat + 1] = 'co'
      flat[#flat + 1] = '1'
    end
  end
  return {id, flat}, flat
end

while true do
  local best, best_id
  for _, source in ipairs(sources) do
    local id = head(source)
    if id and (not best or id < best_id) then
      best, best_id = source, id
    end
  end
  if not best then
    return rows
  end
  best.at = best.at + 1
  local row, flat = read(best_id)
  if row and not add(row, flat) then
    return rows
  end
end
