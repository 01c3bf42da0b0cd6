-- Ends of jobs and claims: terminal states, successors set free, rows that wait again, attempts, dead letters.
local LETTER_FIELDS = {
  'n', 'q', 'k', 'l', 'o', 'p', 'f', 'x', 'et', 'em', 'eb', 'uk', 'uu', 'm', 't', 'd', 'ap', 'og', 'ck', 'cm',
}

-- Hands the key of an ended row to its successor, or lines its successors up behind who has it by now.
local function hand_over(id, row)
  if not row.uk then
    return
  end
  give_up_key(row.uk, id)
  if not row.su then
    return
  end
  local waiting = {}
  for _, successor in ipairs(cjson.decode(row.su)) do
    local found = job(successor)
    if found and found.b == id then
      waiting[#waiting + 1] = {id = successor, row = found}
    end
  end
  call('HDEL', job_key(id), 'su')
  row.su = nil
  if #waiting == 0 then
    return
  end
  local present, front = holder(row.uk), nil
  if present and present.live then
    front = {id = present.id, row = job(present.id) or {}}
  else
    front = table.remove(waiting, 1)
    front.row.b = nil
    call('HDEL', job_key(front.id), 'b')
    call('HSET', job_key(front.id), 'u', NOW_TEXT)
    take_key(row.uk, front.id, front.row.uh)
    place_row(front.id, front.row)
  end
  if #waiting > 0 then
    local ids = front.row.su and cjson.decode(front.row.su) or {}
    for _, one in ipairs(waiting) do
      call('HSET', job_key(one.id), 'b', front.id)
      ids[#ids + 1] = one.id
    end
    call('HSET', job_key(front.id), 'su', cjson.encode(ids))
  end
end

-- Takes a waiting row out of its place, or from behind the job it waits for.
local function withdraw(id, row)
  if not row.b then
    lift(id, row)
    return
  end
  local before = call('HGET', job_key(row.b), 'su')
  if before then
    local ids = {}
    for _, other in ipairs(cjson.decode(before)) do
      if other ~= id then
        ids[#ids + 1] = other
      end
    end
    if #ids > 0 then
      call('HSET', job_key(row.b), 'su', cjson.encode(ids))
    else
      call('HDEL', job_key(row.b), 'su')
    end
  end
  call('HDEL', job_key(id), 'b')
  row.b = nil
end

-- Gives a stopped or withdrawn row its terminal state, frees its key, sets its successor free.
local function conclude(id, row, state, reason)
  local key = job_key(id)
  if reason then
    call('HSET', key, 'st', state, 'fi', NOW_TEXT, 'u', NOW_TEXT, 'rs', reason)
  else
    call('HSET', key, 'st', state, 'fi', NOW_TEXT, 'u', NOW_TEXT)
    if row.rs then
      call('HDEL', key, 'rs')
    end
  end
  if row.as then
    call('HDEL', key, 'as')
    row.as = nil
  end
  row.rs, row.fi, row.u = reason, NOW_TEXT, NOW_TEXT
  move(id, row, state)
  tell_job(JOB_ENDS[state], id, row, reason)
  part_key(id, row)
  hand_over(id, row)
  part_parent(id, row, state)
end

-- Takes a running row off its worker's hands; the caller gives it its next state. A driver keeps the place of its key.
local function stop(id, row)
  call('HDEL', P .. 'h:' .. row.w, id)
  if row.cr then
    call('SREM', P .. 'hc:' .. row.w, id)
  end
  if row.ck and not (row.k == 'workflow' and row.ri) then
    call('SREM', P .. 'kr:' .. row.ck, id)
    note_key(row)
  end
  if row.ap or row.og then
    call('SREM', P .. 'tr:' .. pair(row.q, tenant_of(row)), id)
  end
end

-- Makes a stopped row wait: retrying once it failed or crashed, else pending.
local function wait(id, row, run_at)
  local failed = tonumber(row.f or 0) > 0 or tonumber(row.x or 0) > 0
  local state = failed and 'T' or 'P'
  row.r, row.u, row.w = run_at, NOW_TEXT, nil
  call('HSET', job_key(id), 'st', state, 'r', run_at, 'u', NOW_TEXT)
  call('HDEL', job_key(id), 'w')
  move(id, row, state)
  place_row(id, row)
end

-- Keeps a failure as the row's error and in its history.
local function add_attempt(id, row, kind, error_type, message, traceback)
  local number = text(tonumber(row.f or 0) + 1)
  call('RPUSH', P .. 'a:' .. id, number, kind, error_type, message, traceback and '=' .. traceback or '', row.w or '',
    row.e or '0', row.sa or '', NOW_TEXT)
  call('HSET', job_key(id), 'et', error_type, 'em', message)
  row.et, row.em, row.eb = error_type, message, traceback
  if traceback then
    call('HSET', job_key(id), 'eb', traceback)
  else
    call('HDEL', job_key(id), 'eb')
  end
end

-- How many attempts of a driver have failed, and crashed: its row's counts begin anew with what its run records.
local function count_attempts(id)
  local kinds, parts = {failed = 0, crashed = 0}, call('LRANGE', P .. 'a:' .. id, 0, -1)
  for at = 2, #parts, 9 do
    kinds[parts[at]] = kinds[parts[at]] + 1
  end
  return text(kinds.failed), text(kinds.crashed)
end

-- Makes the dead letter of a row (all of it) that has just failed for good.
local function bury(id, row, reason, letter)
  local fields = {'j', id, 'st', 'O', 'rs', reason, 'c', NOW_TEXT, 'u', NOW_TEXT, 'ek', row.ek or id}
  for _, name in ipairs(LETTER_FIELDS) do
    if row[name] then
      fields[#fields + 1] = name
      fields[#fields + 1] = row[name]
    end
  end
  call('HSET', P .. 'x:' .. letter, unpack(fields))
  if row.k == 'workflow' and row.ri then
    local failures, crashes = count_attempts(id)
    call('HSET', P .. 'x:' .. letter, 'f', failures, 'x', crashes)
  end
  call('ZADD', P .. 'xs:O', 0, letter)
  call('ZADD', P .. 'xa', NOW, letter)
  call('HSET', job_key(id), 'dl', letter)
  row.dl = letter
  tell_job('job.dlq', id, row, reason)
end

-- Decides an open dead letter.
local function decide_letter(letter, state, replayed_as)
  call('HSET', P .. 'x:' .. letter, 'st', state, 'u', NOW_TEXT)
  if replayed_as then
    call('HSET', P .. 'x:' .. letter, 'ra', replayed_as)
  end
  call('ZREM', P .. 'xs:O', letter)
  call('ZADD', P .. 'xs:' .. state, 0, letter)
end
