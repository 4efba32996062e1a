-- Places at addresses: '<base>p<address>' is a sorted set of holders by the end of their time. It expires with the last.

-- address, holder, max, now, until → 1, or 0 when all places are taken
call('enter_address', { 'allow-oom' }, function(KEYS, A)
    local key = KEYS[1] .. 'p' .. A[1]
    redis.call('ZREMRANGEBYSCORE', key, '-inf', A[4])
    if not redis.call('ZSCORE', key, A[2]) and redis.call('ZCARD', key) >= tonumber(A[3]) then
        return 0
    end
    redis.call('ZADD', key, A[5], A[2])
    redis.call('PEXPIRE', key, 2 * (tonumber(A[5]) - tonumber(A[4])))
    return 1
end)

-- address, holder
call('leave_address', { 'allow-oom' }, function(KEYS, A)
    return redis.call('ZREM', KEYS[1] .. 'p' .. A[1], A[2])
end)
