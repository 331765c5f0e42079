SELECT max(night) AS night FROM landings;
