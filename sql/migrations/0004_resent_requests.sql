-- A request that met a connection which the server had closed already, and was sent once more.
ALTER TABLE shape.load_requests ADD COLUMN resent BOOLEAN;
