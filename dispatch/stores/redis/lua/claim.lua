-- Makes due rows running in a worker's name, queue by queue, lane by lane in rotation, within every limit.
-- flags: allow-oom
-- wakes: seldom
-- parts: base keys plain_claims feed tells rows moves concurrency place ready admit unique runs wakes ends gates channels_of_events publishing driving_starts
-- ARGV: now, worker, limit, lease (microseconds), alone, number of queues, each with what may be taken from it, names.
-- Answers jobs, expired jobs, when to look again ('' nobody knows), now; queue, name and epoch of those jobs that are told
-- in short. A job is its id with its epoch and the row, or in short when it was made and its payload.
local PROMOTED, PASSED, LANES = 200, 200, 256
local overdue, expired, blocked = {}, {}, 0
local told = heard('job.started')

local function start(id, row, flat)
  local epoch = math.max(tonumber(row.e or 0) + 1, epoch_floor)
  local key = job_key(id)
  call('HSET', key, 'st', 'R', 'w', worker, 'e', text(epoch), 'sa', NOW_TEXT)
  if row.la then
    call('HDEL', key, 'la')
  end
  move(id, row, 'R', lease_until)
  held[#held + 1] = id
  held[#held + 1] = held_as(row, text(epoch))
  if row.ck then
    call('SADD', P .. 'kr:' .. row.ck, id)
  end
  if row.ap or row.og then
    call('SADD', P .. 'tr:' .. pair(row.q, tenant_of(row)), id)
  end
  start_run(row)
  if row.uu == 'start' then
    give_up_key(row.uk, id)
  end
  tell_job('job.started', id, row)
  claimed[3 * count + 1], claimed[3 * count + 2], claimed[3 * count + 3] = id, epoch, flat
  count = count + 1
end

local function is_overdue(row)
  return row.ex and row.k ~= 'workflow' and not row.sa and tonumber(row.ex) < NOW
end

-- Takes up to `wanted` rows of one lane; `skipped` says how many each of its sets keeps at its head.
local function take_lane(this, lane, open, wanted, skipped)
  local cursors, taken = {}, 0
  for _, name in ipairs(open) do
    local key = ready_key(this.queue, name, lane)
    local cell = cell_of('job', this.queue, name)
    cursors[#cursors + 1] = {key = key, name = name, cell = cell, next = skipped[key] or 0, buffer = {}, at = 1, gone = {}}
  end
  local chunk = wanted
  local function head(cursor)
    if cursor.at > #cursor.buffer then
      if cursor.over then
        return nil
      end
      cursor.buffer = call('ZRANGE', cursor.key, cursor.next, cursor.next + chunk - 1, 'WITHSCORES')
      cursor.next, cursor.at = cursor.next + chunk, 1
      cursor.over = #cursor.buffer < 2 * chunk
      if #cursor.buffer == 0 then
        return nil
      end
    end
    return cursor.buffer[cursor.at], tonumber(cursor.buffer[cursor.at + 1])
  end
  local looked = 0
  while taken < wanted and #overdue + blocked < PASSED and looked < 1000 do
    local best, best_member, best_score
    for _, cursor in ipairs(cursors) do
      local member, score = head(cursor)
      if member and (not best or score < best_score or (score == best_score and member < best_member)) then
        best, best_member, best_score = cursor, member, score
      end
    end
    if not best then
      break
    end
    looked = looked + 1
    best.at = best.at + 2
    local id = best_member:sub(19)
    local plain, as_it_was
    if not this.tenant_limit and best_member:sub(1, 18) <= NOW_STAMP then
      plain, as_it_was = start_plain(id, best.cell)
    end
    if plain then
      best.gone[#best.gone + 1] = best_member
      taken = taken + 1
      if told then
        tell_job('job.started', id, table_of(as_it_was))
      end
    else
      local row, flat = job(id)
      if not row then
        best.gone[#best.gone + 1] = best_member
      elseif is_overdue(row) then
        best.gone[#best.gone + 1] = best_member
        key_unready(id, row)
        overdue[#overdue + 1] = {id = id, row = row}
      elseif best_member:sub(1, 18) > NOW_STAMP then
        -- the clock was set back after the row had become due
        best.gone[#best.gone + 1] = best_member
        key_unready(id, row)
        place_row(id, row)
      elseif this.tenant_limit and tenant_full(this, tenant_of(row)) then
        skipped[best.key] = (skipped[best.key] or 0) + 1
        if lane == tenant_of(row) then
          break
        end
      else
        best.gone[#best.gone + 1] = best_member
        key_unready(id, row)
        if key_full(id, row) then
          block(id, row)
          blocked = blocked + 1
        else
          start(id, row, flat)
          taken = taken + 1
        end
      end
    end
  end
  for _, cursor in ipairs(cursors) do
    if #cursor.gone > 0 then
      if (skipped[cursor.key] or 0) == 0 then
        call('ZREMRANGEBYRANK', cursor.key, 0, #cursor.gone - 1)
      else
        in_chunks('ZREM', cursor.key, cursor.gone)
      end
      close_lane(this.queue, cursor.name, lane)
    end
  end
  return taken
end

-- The open lanes of a queue with the names in each, those after the last one served first.
local function open_lanes(queue)
  local by_lane, lanes = {}, {}
  local last = call('HGET', P .. 'qs:' .. queue, 'lane')
  local function add(name, found)
    for _, lane in ipairs(found) do
      local open = by_lane[lane]
      if not open then
        open = {}
        by_lane[lane] = open
        lanes[#lanes + 1] = lane
      end
      if open[#open] ~= name then
        open[#open + 1] = name
      end
    end
    return #found
  end
  for _, name in ipairs(call('SMEMBERS', P .. 'rn:' .. queue)) do
    if names[name] then
      local key = P .. 'l:' .. pair(queue, name)
      if last then
        local left = LANES - add(name, call('ZRANGEBYLEX', key, '(' .. last, '+', 'LIMIT', 0, LANES))
        if left > 0 then
          add(name, call('ZRANGEBYLEX', key, '-', '[' .. last, 'LIMIT', 0, left))
        end
      else
        add(name, call('ZRANGEBYLEX', key, '-', '+', 'LIMIT', 0, LANES))
      end
    end
  end
  table.sort(lanes, function(a, b)
    local a_after, b_after = last ~= false and a > last, last ~= false and b > last
    if a_after ~= b_after then
      return a_after
    end
    return a < b
  end)
  return lanes, by_lane, last
end

local function take_from(this, wanted)
  local most = math.min(room(this), wanted)
  if most < 1 then
    return 0
  end
  local lanes, by_lane, served = open_lanes(this.queue)
  local taken, skipped, last = 0, {}, nil
  while #lanes > 0 and taken < most do
    local share, more = math.max(1, math.floor((most - taken) / #lanes)), {}
    for _, lane in ipairs(lanes) do
      local ask = math.min(share, most - taken)
      if ask <= 0 then
        break
      end
      if not (this.tenant_limit and tenant_full(this, lane)) then
        local got = take_lane(this, lane, by_lane[lane], ask, skipped)
        taken = taken + got
        if got > 0 then
          last = lane
        end
        if got == ask then
          more[#more + 1] = lane
        end
      end
    end
    lanes = more
  end
  if last and last ~= served then
    call('HSET', P .. 'qs:' .. this.queue, 'lane', last)
  end
  debit(this, taken)
  return taken
end

-- Quarantined rows that this worker may run, in their order, until `visit` says that it is enough.
local function each_quarantined(this, visit)
  for _, member in ipairs(call('ZRANGE', P .. 'qq:' .. this.queue, 0, 499)) do
    local id = member:sub(19)
    local row, flat = job(id)
    if row and names[row.n] and not tenant_full(this, tenant_of(row)) and visit(id, row, flat, member) then
      return true
    end
  end
  return false
end

local function take_quarantined(this)
  return room(this) >= 1 and each_quarantined(this, function(id, row, flat, member)
    if member:sub(1, 18) > NOW_STAMP then
      return false
    end
    call('ZREM', P .. 'qq:' .. this.queue, member)
    if key_full(id, row) then
      block(id, row)
      return false
    end
    start(id, row, flat)
    debit(this, 1)
    return true
  end)
end

go_on_waking(PROMOTED)
joined()
local gates = {}
for _, queue in ipairs(queues) do
  gates[#gates + 1] = gate(queue.name)
end
local single = false
if alone then
  for _, this in ipairs(gates) do
    if take_quarantined(this) then
      single = true
      break
    end
  end
end
if not single then
  local budget = PROMOTED
  for _, this in ipairs(gates) do
    if room(this) >= 1 then
      budget = promote(this.queue, names, budget)
    end
  end
  local equal = math.max(1, math.floor(limit / math.max(1, #queues)))
  for _, most in ipairs({equal, limit}) do
    for i, queue in ipairs(queues) do
      local wanted = math.min(most, queue.cap, limit - count)
      if wanted > 0 then
        queue.cap = queue.cap - take_from(gates[i], wanted)
      end
    end
  end
end

local unfinished = #overdue + blocked >= PASSED
for _, one in ipairs(overdue) do
  unfinished = unfinished or one.row.su ~= nil or one.row.ck ~= nil
  conclude(one.id, one.row, 'X', 'expired')
end
admit_left()
joined()

local function any_due(queue)
  for _, name in ipairs(call('SMEMBERS', P .. 'rn:' .. queue)) do
    if names[name] then
      return true
    end
  end
  return false
end

local function next_later(queue)
  local from = 0
  while true do
    local found = call('ZRANGE', P .. 'nx:' .. queue, from, from + 49, 'WITHSCORES')
    for i = 1, #found, 2 do
      if names[found[i]] then
        return tonumber(found[i + 1])
      end
    end
    if #found < 100 then
      return nil
    end
    from = from + 50
  end
end

local look_again
local function consider(moment)
  look_again = look_again and math.min(look_again, moment) or moment
end
if not single and count < limit then
  for i, queue in ipairs(queues) do
    local this = gates[i]
    local opens = opens_at(this)
    if queue.cap > 0 and opens then
      local later = next_later(queue.name)
      if any_due(queue.name) and (opens > NOW or unfinished) then
        consider(opens)
      elseif later then
        consider(math.max(opens, later))
      end
      if alone then
        each_quarantined(this, function(id, row)
          if not key_full(id, row) then
            consider(math.max(opens, tonumber(row.r)))
          end
          return false
        end)
      end
    end
  end
end

settle()
settle_plain()
for _, one in ipairs(overdue) do
  expired[#expired + 1] = show(one.id)
end
if #expired > 0 then
  wake()
end
return {claimed, expired, look_again and text(look_again) or '', NOW_TEXT, short_queue, short_name, epoch_floor}
