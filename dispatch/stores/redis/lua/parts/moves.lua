-- Changes of state. They are noted first and written to the indexes by `settle`, key by key in few calls.
local moved, moves = {}, {}
local ENDS = {C = true, F = true, X = true}

-- Notes that a row goes to a state (nil: away); a row without `st` is new.
local function move(id, row, to, lease)
  local noted = moved[id]
  if not noted then
    noted = {id = id, row = row, from = row.st}
    moved[id] = noted
    moves[#moves + 1] = noted
  end
  noted.row, noted.to, noted.lease = row, to, lease
  row.st = to
end

local function append(lists, key, ...)
  local list = lists[key]
  if not list then
    list = {}
    lists[key] = list
  end
  for _, value in ipairs({...}) do
    list[#list + 1] = value
  end
end

local CHUNK = 1000
local function in_chunks(command, key, list)
  for from = 1, #list, CHUNK do
    call(command, key, unpack(list, from, math.min(from + CHUNK - 1, #list)))
  end
end

-- Writes what was noted.
local function settle()
  local cells, known, gone, come, tallies = {}, {}, {}, {}, {}
  local function count(tenant, field, change)
    for _, key in ipairs({P .. 'n:' .. tenant, P .. 'nt'}) do
      tallies[key] = tallies[key] or {}
      tallies[key][field] = (tallies[key][field] or 0) + change
    end
  end
  for _, noted in ipairs(moves) do
    local row, id, from, to = noted.row, noted.id, noted.from, noted.to
    local kind = row.k or 'job'
    local by_name = cells[row.q .. '\0' .. row.n .. '\0' .. kind]
    if not by_name then
      by_name = cell_of(kind, row.q, row.n)
      cells[row.q .. '\0' .. row.n .. '\0' .. kind] = by_name
    end
    if not from and not known[by_name] then
      known[by_name] = true
      call('SADD', P .. 'q', row.q)
      call('SADD', P .. 'c:' .. row.q, kind .. ':' .. row.n)
    end
    local tenant = (row.ap or row.og) and tenant_of(row) or ''
    if from ~= to then
      if from then
        append(gone, P .. 's:' .. from .. ':' .. by_name, id)
        if ENDS[from] then
          append(gone, P .. 'z:' .. from, id)
        end
      end
      if tenant ~= '' then
        if from then
          append(gone, P .. 't:' .. from .. ':' .. tenant, id)
          count(tenant, from .. by_name, -1)
        end
        if to then
          append(come, P .. 't:' .. to .. ':' .. tenant, 0, id)
          count(tenant, to .. by_name, 1)
        end
      end
    end
    if to then
      append(come, P .. 's:' .. to .. ':' .. by_name, noted.lease or 0, id)
      if ENDS[to] and kind ~= 'workflow' then
        append(come, P .. 'z:' .. to, row.fi, id)
      end
    end
  end
  for key, ids in pairs(gone) do
    in_chunks('ZREM', key, ids)
  end
  for key, scored in pairs(come) do
    in_chunks('ZADD', key, scored)
  end
  moved, moves = {}, {}
  for key, counts in pairs(tallies) do
    for field, change in pairs(counts) do
      if change ~= 0 and call('HINCRBY', key, field, change) == 0 then
        call('HDEL', key, field)
      end
    end
  end
end
