-- Fewer indexes to write. A row that changes is written to every index again, unless
-- none of the columns that any index of its table names has changed.

-- +goose Up
-- Statements are found by their release; an operator has one vote in it. One index
-- serves both: of a vote the last column is null, and null equals null here.
CREATE UNIQUE INDEX statements_by_release ON statements (release, operator, (CASE WHEN NOT vote THEN digest END)) NULLS NOT DISTINCT;
DROP INDEX statements_of_release;
DROP INDEX statements_one_vote;

-- Without a condition on what binding a name changes: a name is bound in place.
CREATE INDEX names_of_release ON names (release);
DROP INDEX names_reserved;

-- +goose Down
CREATE INDEX names_reserved ON names (release) WHERE held AND NOT bound;
DROP INDEX names_of_release;
CREATE UNIQUE INDEX statements_one_vote ON statements (release, operator) WHERE vote;
CREATE INDEX statements_of_release ON statements (release);
DROP INDEX statements_by_release;
