-- Dead letters: x:<id> hashes; xs:<state> (O open, P replayed, R retried, D discarded) by id; xa by the time of death.
-- Their fields are those of rows, and j the job, ra what it was replayed as.
local LETTER_STATES = {'O', 'P', 'R', 'D'}

local function shown_letter(id, flat)
  flat[#flat + 1] = 'id'
  flat[#flat + 1] = id
  return flat
end
