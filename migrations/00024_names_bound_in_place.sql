-- Every name that is decided is written twice: reserved, and then bound. Half a page
-- is left for the second time.

-- +goose Up
ALTER TABLE names SET (fillfactor = 50);

-- +goose Down
ALTER TABLE names SET (fillfactor = 80);
