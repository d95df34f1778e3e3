-- What is longer than half a page would have a page for itself, most of it empty:
-- the decisions of suites with a dozen rebuilders. Those go out of the row again.

-- +goose Up
ALTER TABLE log_bodies SET (toast_tuple_target = 4080);

-- +goose Down
ALTER TABLE log_bodies SET (toast_tuple_target = 8160);
