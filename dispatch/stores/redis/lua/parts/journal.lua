-- Checkpoints: written once by name. STRIDE parts each: id, name, kind, data, attempt, worker, when the visit began,
-- created, updated, event ('' none), inherited ('1'), position.
local STRIDE = 12

local function checkpoint_at(run_id, place)
  return call('LRANGE', P .. 'fj:' .. run_id, (place - 1) * STRIDE, place * STRIDE - 1)
end

local function known_checkpoint(run_id, name)
  local place = call('HGET', P .. 'fn:' .. run_id, name)
  return place and checkpoint_at(run_id, tonumber(place))
end

-- The position of the last checkpoint.
local function last_position(run_id)
  return tonumber(call('LINDEX', P .. 'fj:' .. run_id, -1) or '0')
end

local function append_checkpoint(run_id, parts)
  local place = call('HLEN', P .. 'fn:' .. run_id) + 1
  parts[STRIDE] = parts[STRIDE] or text(last_position(run_id) + 1)
  call('RPUSH', P .. 'fj:' .. run_id, unpack(parts))
  call('HSET', P .. 'fn:' .. run_id, parts[2], place)
  if parts[10] ~= '' then
    call('SADD', P .. 'fc:' .. run_id, parts[10])
  end
  return parts
end

-- Writes a checkpoint under a name that is free, in the name of the driver's claim.
local function add_checkpoint(row, run_id, run, new)
  local added = append_checkpoint(run_id, {
    new.id, new.name, new.kind, new.data, new.attempt, row.w, new.started, NOW_TEXT, NOW_TEXT, new.event, '',
  })
  if new.event ~= '' then
    local about = call('HMGET', P .. 'e:' .. new.event, 'ri', 'n')
    if about[1] == run_id then
      call('ZREM', mailbox(run_id, about[2]), new.event)
    end
  end
  close_wait(run_id, run, new.name)
  call('HDEL', job_key(driver_of(run_id)), 'f', 'x')
  tell_step(run_id, run, new)
  return added
end
