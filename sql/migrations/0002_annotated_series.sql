-- An accepted shift belongs to a series: a target, what was asked, the hardware class. Null where a
-- person speaks of all of a target's series.
ALTER TABLE annotations ADD COLUMN hardware_class VARCHAR;
ALTER TABLE annotations ADD COLUMN measurement_key VARCHAR;
