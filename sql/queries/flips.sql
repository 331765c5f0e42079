-- Questions a target answered right in one of its last two runs and wrong in the other.
-- param target (target): the target's name
SELECT * FROM flips WHERE target = $target;
