-- How long a target's server took to answer its first request, launch by launch.
-- param target (target) = NULL: one target; all of them unless given
SELECT * FROM boot_times WHERE $target::VARCHAR IS NULL OR target = $target;
