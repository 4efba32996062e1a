-- Who may write for a shard.

-- node, boot, run, min_epoch, now, expires_at → epoch, or false while another node's claim holds.
-- A new generation begins with every other process and every run of the server: hosts then wait one delay.
call('claim', { 'allow-oom' }, function(KEYS, A)
    local key = KEYS[1] .. 'm'
    local now = tonumber(A[5])
    local m = redis.call('HMGET', key, 'epoch', 'node', 'boot', 'run', 'holder', 'expires', 'era')
    if m[1] and m[5] ~= '' and m[4] == A[3] and num(m[6]) > now and m[2] ~= A[1] then
        return false
    end
    local gen, since, lossy = string.match(m[7] or '0 0 0', '^(%d+) (%d+) (%d+)$')
    local epoch = num(m[1]) + 1
    if m[4] and m[4] ~= A[3] then
        -- The end of the history may be lost, and with it epochs that were given.
        epoch = epoch + EPOCH_JUMP
        lossy = A[5]
    end
    epoch = int(math.max(epoch, tonumber(A[4])))
    if m[3] ~= A[2] or m[4] ~= A[3] then
        gen, since = int(gen + 1), A[5]
    end
    redis.call('HSET', key, 'epoch', epoch, 'node', A[1], 'boot', A[2], 'run', A[3], 'expires', A[6],
        'holder', holder(epoch, A[1], A[3]), 'era', gen .. ' ' .. since .. ' ' .. lossy)
    return epoch
end)

-- claim, expires_at
call('renew', { 'allow-oom' }, function(KEYS, A)
    if not claimed(KEYS[1], A) then
        return redis.error_reply(FENCED)
    end
    return redis.call('HSET', KEYS[1] .. 'm', 'expires', A[4])
end)

-- claim
call('release', { 'allow-oom' }, function(KEYS, A)
    if not claimed(KEYS[1], A) then
        return redis.error_reply(FENCED)
    end
    return redis.call('HSET', KEYS[1] .. 'm', 'holder', '')
end)

-- run, now → epoch, node, expires_at of the claim that holds; false when none does
call('owner', { 'no-writes' }, function(KEYS, A)
    local m = redis.call('HMGET', KEYS[1] .. 'm', 'epoch', 'node', 'run', 'holder', 'expires')
    if not m[1] or m[4] == '' or m[3] ~= A[1] or num(m[5]) <= tonumber(A[2]) then
        return false
    end
    return { m[1], m[2], m[5] }
end)
