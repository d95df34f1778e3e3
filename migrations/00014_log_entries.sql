-- An entry refers to a leaf that the outbox refers to already, and no leaf can
-- be deleted. Checking it a second time locks the leaf's row, and so writes its
-- page again, long after the leaf was written: that was half of what bringing
-- an entry into the tree cost.

-- +goose Up
ALTER TABLE log_entries DROP CONSTRAINT log_entries_leaf_fkey;

-- +goose Down
ALTER TABLE log_entries ADD CONSTRAINT log_entries_leaf_fkey FOREIGN KEY (leaf) REFERENCES log_leaves;
