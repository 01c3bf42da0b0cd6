-- Writes rows as they are, each unless its key is there already.
-- parts: base keys feed tells rows moves concurrency place ready admit unique runs wakes ends compensation expiry inserts channels_of_events records letters crons
-- ARGV: now, kind, rows. A row is a key (of records, idempotency keys and cron_ticks two, of crons id, tenant and name), the number of its fields, the fields; of
-- jobs then the end of the lease ('' none), the number of parts of attempts, and those. Answers how many were not there.
-- Jobs that wait behind one that is still to come are noted in aw:<that job>.
local kind, at, count = ARGV[2], 3, 0

local function next_argument()
  at = at + 1
  return ARGV[at - 1]
end

local function next_fields()
  local number = tonumber(next_argument())
  local fields, row = {unpack(ARGV, at, at + number - 1)}, {}
  for i = 1, number, 2 do
    row[fields[i]] = fields[i + 1]
  end
  at = at + number
  return row, fields
end

local function append_successor(id, successor)
  local before = call('HGET', job_key(id), 'su')
  local ids = before and cjson.decode(before) or {}
  ids[#ids + 1] = successor
  call('HSET', job_key(id), 'su', cjson.encode(ids))
end

local function load_job()
  local id = next_argument()
  local row, fields = next_fields()
  local lease, attempts = next_argument(), {}
  for _ = 1, tonumber(next_argument()) do
    attempts[#attempts + 1] = next_argument()
  end
  if call('EXISTS', job_key(id)) == 1 then
    return false
  end
  call('HSET', job_key(id), unpack(fields))
  if #attempts > 0 then
    in_chunks('RPUSH', P .. 'a:' .. id, attempts)
  end
  for _, successor in ipairs(call('LRANGE', P .. 'aw:' .. id, 0, -1)) do
    append_successor(id, successor)
  end
  call('DEL', P .. 'aw:' .. id)
  if row.b and call('EXISTS', job_key(row.b)) == 1 then
    append_successor(row.b, id)
  elseif row.b then
    call('RPUSH', P .. 'aw:' .. row.b, id)
  end
  local state = row.st
  local unfinished = state == 'P' or state == 'T' or state == 'R'
  if row.ck and unfinished then
    call('HSET', P .. 'km', row.ck, row.cm or '1')
    join_key(id, row)
  end
  if unfinished then
    join_parent(id, row)
  end
  row.st = nil
  move(id, row, state, lease ~= '' and lease or nil)
  if state == 'P' or state == 'T' then
    if row.ck and row.sa and row.k == 'workflow' and row.ri then
      call('SADD', P .. 'kr:' .. row.ck, id)
    end
    place_row(id, row)
  elseif state == 'R' then
    call('HSET', P .. 'h:' .. row.w, id, held_as(row, row.e or '0'))
    if row.ck then
      call('SADD', P .. 'kr:' .. row.ck, id)
    end
    if row.cr then
      call('SADD', P .. 'hc:' .. row.w, id)
    end
    if row.ap or row.og then
      call('SADD', P .. 'tr:' .. pair(row.q, tenant_of(row)), id)
    end
  end
  return true
end

local loads = {
  jobs = load_job,
  unique_keys = function()
    local key, row = next_argument(), next_fields()
    if call('HSETNX', P .. 'u', key, row.live .. ':' .. (row.held or '') .. ':' .. row.job) == 0 then
      return false
    end
    call('ZADD', P .. 'uo', 0, key)
    if row.live == '0' and row.held then
      call('ZADD', P .. 'ux', row.held, key)
    end
    return true
  end,
  idempotency = function()
    local tenant, key, row = next_argument(), next_argument(), nil
    row = next_fields()
    if call('HEXISTS', P .. 'i', pair(tenant, key)) == 1 then
      return false
    end
    keep_idempotent(tenant, key, row.expires, row.fingerprint, row.job)
    return true
  end,
  dlq = function()
    local id = next_argument()
    local row, fields = next_fields()
    if call('EXISTS', P .. 'x:' .. id) == 1 then
      return false
    end
    call('HSET', P .. 'x:' .. id, unpack(fields))
    call('ZADD', P .. 'xs:' .. row.st, 0, id)
    call('ZADD', P .. 'xa', row.c, id)
    local dead = call('HMGET', job_key(row.j), 'st', 'dl')
    if dead[1] == 'F' and row.st ~= 'R' and (not dead[2] or dead[2] < id) then
      call('HSET', job_key(row.j), 'dl', id)
    end
    return true
  end,
  events = function()
    local id = next_argument()
    local row, fields = next_fields()
    if call('EXISTS', P .. 'e:' .. id) == 1 then
      return false
    end
    call('HSET', P .. 'e:' .. id, unpack(fields))
    index_event(id, row)
    call('HDEL', P .. 'e:' .. id, 'co')
    return true
  end,
  records = function()
    local namespace, key = next_argument(), next_argument()
    local row, fields = next_fields()
    if call('EXISTS', record_key(namespace, key)) == 1 then
      return false
    end
    call('HSET', record_key(namespace, key), unpack(fields))
    call('ZADD', P .. 'ok:' .. namespace, 0, key)
    call('ZADD', P .. 'on', 0, namespace)
    if row.ex then
      call('ZADD', P .. 'ox', row.ex, pair(namespace, key))
    end
    return true
  end,
  queues = function()
    local name = next_argument()
    local row, fields = next_fields()
    local key = P .. 'qs:' .. name
    if call('HEXISTS', key, 'set') == 1 then
      return false
    end
    call('HSET', key, 'set', '1', unpack(fields))
    local rate = tonumber(row.rl)
    if rate then
      local burst = tonumber(row.rb) or math.max(1, rate)
      call('HSET', key, 'tok', string.format('%.17g', rate > 0 and burst or 0), 'at', NOW_TEXT)
    end
    call('SADD', P .. 'q', name)
    return true
  end,
  cron_codes = function()
    local digest, row = next_argument(), next_fields()
    return call('HSETNX', P .. 'cc', digest, row.stored) == 1
  end,
  crons = function()
    local id, tenant, name = next_argument(), next_argument(), next_argument()
    local row, fields = next_fields()
    if call('EXISTS', P .. 'cr:' .. id) == 1 or call('HSETNX', P .. 'cn', pair(tenant, name), id) == 0 then
      return false
    end
    call('HSET', P .. 'cr:' .. id, unpack(fields))
    call('SADD', P .. 'cs', id)
    note_due(id, row)
    call('INCR', P .. 'cv')
    return true
  end,
  cron_ticks = function()
    local id, time, row = next_argument(), next_argument(), nil
    row = next_fields()
    if call('HSETNX', P .. 'ct:' .. id, time, row.stored) == 0 then
      return false
    end
    call('ZADD', P .. 'co:' .. id, time, time)
    call('ZADD', P .. 'ca', row.fired, id .. ':' .. time)
    return true
  end,
  definitions = function()
    local field, row = next_argument(), next_fields()
    return call('HSETNX', P .. 'definitions', field, row.document) == 1
  end,
}
while at <= #ARGV do
  if loads[kind]() then
    count = count + 1
  end
end
admit_left()
joined()
settle()
wake()
return count
