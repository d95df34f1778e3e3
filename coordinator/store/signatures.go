package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/reprosign/reprosign/attest"
	"github.com/reprosign/reprosign/coordinator"
)

// FinishJob stores what the signer answered to a job. Storing it again after
// an uncertain answer changes nothing.
func (w *Writer) FinishJob(ctx context.Context, m coordinator.Made) error {
	return w.tx(ctx, "storing signatures of release "+m.Job.Release.Short(), func(tx pgx.Tx) error {
		done, err := lockJob(ctx, tx, m.Job)
		if err != nil || done {
			return err
		}
		if err := insertSignatures(ctx, tx, m); err != nil {
			return err
		}
		if err := insertStatementOfSignatures(ctx, tx, m); err != nil {
			return err
		}
		return finishJob(ctx, tx, m)
	})
}

// lockJob locks a job and its release, and reports whether it is finished already.
func lockJob(ctx context.Context, tx pgx.Tx, j coordinator.Job) (done bool, err error) {
	var release, state string
	var fence int64
	b := &pgx.Batch{}
	b.Queue(`SELECT state FROM releases WHERE id = $1 FOR NO KEY UPDATE`, j.Release[:]).
		QueryRow(func(row pgx.Row) error { return row.Scan(&release) })
	b.Queue(`SELECT state, fence FROM signing_jobs WHERE release = $1 AND certificate = $2 FOR NO KEY UPDATE`, j.Release[:], j.Certificate).
		QueryRow(func(row pgx.Row) error { return row.Scan(&state, &fence) })
	if err := send(ctx, tx, b); err != nil {
		return false, err
	}
	switch {
	case fence != j.Fence:
		return false, coordinator.ErrFenced
	case state == "done":
		return true, nil
	case release != string(coordinator.Logged):
		return false, coordinator.ErrTooLate
	}
	return false, nil
}

func insertSignatures(ctx context.Context, tx pgx.Tx, m coordinator.Made) error {
	var names []string
	var signatures [][]byte
	for name, s := range m.Signatures {
		names, signatures = append(names, name), append(signatures, s)
	}
	// Ordered, as two releases of the same bytes may finish at the same time.
	if _, err := tx.Exec(ctx, `
		INSERT INTO signatures (sha512, certificate, kind, signature, release)
		SELECT a.sha512, $2, $3, u.signature, a.release
		  FROM artifacts a JOIN unnest($4::text[], $5::bytea[]) AS u (name, signature) ON u.name = a.name
		 WHERE a.release = $1 ORDER BY a.sha512, a.position
		ON CONFLICT DO NOTHING`,
		m.Job.Release[:], m.Job.Certificate, string(attest.DetachedBinary), names, signatures); err != nil {
		return err
	}
	var others, missing int
	if err := tx.QueryRow(ctx, `
		SELECT count(*) FILTER (WHERE u.name IS NOT NULL AND s.signature IS DISTINCT FROM u.signature),
		       count(*) FILTER (WHERE s.signature IS NULL)
		  FROM artifacts a
		  LEFT JOIN unnest($4::text[], $5::bytea[]) AS u (name, signature) ON u.name = a.name
		  LEFT JOIN signatures s ON s.sha512 = a.sha512 AND s.certificate = $2 AND s.kind = $3
		 WHERE a.release = $1`,
		m.Job.Release[:], m.Job.Certificate, string(attest.DetachedBinary), names, signatures).Scan(&others, &missing); err != nil {
		return err
	}
	if others > 0 {
		return fmt.Errorf("%d artifacts have another signature by certificate %s already: %w", others, m.Job.Certificate, coordinator.ErrExists)
	}
	if missing > 0 {
		return fmt.Errorf("%d artifacts would stay without a signature by certificate %s", missing, m.Job.Certificate)
	}
	return nil
}

func insertStatementOfSignatures(ctx context.Context, tx pgx.Tx, m coordinator.Made) error {
	if m.Envelope == nil {
		return nil
	}
	if m.Entry == nil {
		return errors.New("signatures-made statement without log entry")
	}
	encoded, err := m.Envelope.Encode()
	if err != nil {
		return err
	}
	leaf, err := appendEntry(ctx, tx, *m.Entry, attest.Digest{})
	if err != nil {
		return err
	}
	d := m.Envelope.Digest()
	if _, err := tx.Exec(ctx, `
		INSERT INTO signatures_made (digest, release, certificate, envelope, leaf) VALUES ($1::bytea, $2::bytea, $3, $4, $5)`,
		d[:], m.Job.Release[:], m.Job.Certificate, encoded, leaf); err != nil {
		return err
	}
	return notify(ctx, tx, coordinator.TopicOutbox)
}

func finishJob(ctx context.Context, tx pgx.Tx, m coordinator.Made) error {
	release := m.Job.Release[:]
	b := &pgx.Batch{}
	if len(m.Certificate) > 0 {
		exec(b, `
			INSERT INTO certificates AS c (fingerprint, certificate) VALUES ($1, $2)
			ON CONFLICT (fingerprint) DO UPDATE SET certificate = excluded.certificate, stored_at = now()
			 WHERE c.certificate <> excluded.certificate`, m.Job.Certificate, m.Certificate)
	}
	if len(m.Evidence) > 0 {
		exec(b, `
			INSERT INTO evidence_bundles (release, bundle) VALUES ($1::bytea, $2)
			ON CONFLICT (release) DO UPDATE SET bundle = excluded.bundle, stored_at = now()`, release, m.Evidence)
	}
	exec(b, `
		UPDATE signing_jobs SET state = 'done', claimable_at = NULL, finished_at = now() WHERE release = $1 AND certificate = $2`,
		release, m.Job.Certificate)
	exec(b, `
		UPDATE releases SET state = 'signed', signed_at = now(), reason = 'signed'
		 WHERE id = $1 AND NOT EXISTS (SELECT FROM signing_jobs WHERE release = $1 AND state <> 'done')`, release)
	if err := send(ctx, tx, b); err != nil {
		return err
	}
	// Other certificates, and other releases of the same bytes, may follow now.
	return notify(ctx, tx, coordinator.TopicSign)
}

// Parts returns what a decided release's evidence bundle is made of, beside
// what its job holds.
func (w *Writer) Parts(ctx context.Context, release attest.Digest) (*coordinator.Parts, error) {
	p := &coordinator.Parts{Certificates: map[string][]byte{}}
	err := w.mark(ctx, "reading the evidence of release "+release.Short(), func(tx pgx.Tx) error {
		var claim attest.Claim
		var encoded []byte
		if err := tx.QueryRow(ctx, `
			SELECT b.envelope, i.index, c.salt, c.set_digest
			  FROM decisions d
			  JOIN log_bodies b ON b.digest = d.body AND b.leaf = d.leaf
			  JOIN openings o ON o.id = d.release
			  JOIN log_entries i ON i.leaf = o.leaf
			  LEFT JOIN claims c ON c.request = o.request
			 WHERE d.release = $1`, release[:]).Scan(&encoded, &p.OpeningIndex, digest{&claim.Salt}, digest{&claim.Set}); err != nil {
			return err
		}
		if !claim.Set.IsZero() {
			p.Claim = &claim
		}
		envelope, err := attest.ParseEnvelope(encoded)
		if err != nil {
			return err
		}
		decision, err := attest.ParseDecision(envelope.Payload)
		if err != nil {
			return err
		}
		if p.Votes, err = envelopesOf(ctx, tx, decision.Votes); err != nil {
			return err
		}
		if p.Signatures, err = priorSignatures(ctx, tx, release); err != nil {
			return err
		}
		return readCertificates(ctx, tx, release, p.Certificates)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// priorSignatures reads the signatures over the release's artifacts by the
// certificates that sign them in its suite. Others may have signed the same bytes
// for another suite, or under an older policy: that is no evidence for this release.
func priorSignatures(ctx context.Context, tx pgx.Tx, release attest.Digest) ([]coordinator.PriorSignature, error) {
	rows, err := tx.Query(ctx, `
		SELECT a.name, s.certificate, s.kind, s.signature
		  FROM artifacts a JOIN signatures s ON s.sha512 = a.sha512
		 WHERE a.release = $1 AND s.certificate IN (SELECT unnest(certificates) FROM decisions WHERE release = $1)
		 ORDER BY a.position, s.certificate, s.kind`, release[:])
	return collect(rows, err, pgx.RowToStructByPos[coordinator.PriorSignature])
}

// DecisionByDigest returns a decision that is in the log.
func (w *Writer) DecisionByDigest(ctx context.Context, d attest.Digest) (coordinator.LoggedDecision, error) {
	var out coordinator.LoggedDecision
	var encoded []byte
	err := w.pool.QueryRow(ctx, `
		SELECT b.envelope, i.index
		  FROM decisions d
		  JOIN log_bodies b ON b.digest = d.body AND b.leaf = d.leaf
		  JOIN log_entries i ON i.leaf = d.leaf
		 WHERE d.digest = $1`, d[:]).
		Scan(&encoded, &out.LogIndex)
	if err == nil {
		out.Envelope, err = attest.ParseEnvelope(encoded)
	}
	return out, wrap("reading decision "+d.Short(), err)
}

// readCertificates reads those that signed the release or will, as far as the
// signer has sent them.
func readCertificates(ctx context.Context, tx pgx.Tx, release attest.Digest, into map[string][]byte) error {
	rows, err := tx.Query(ctx, `
		SELECT fingerprint, certificate FROM certificates
		 WHERE fingerprint IN (SELECT unnest(certificates) FROM decisions WHERE release = $1)`, release[:])
	if err != nil {
		return err
	}
	for rows.Next() {
		var fingerprint string
		var certificate []byte
		if err := rows.Scan(&fingerprint, &certificate); err != nil {
			rows.Close()
			return err
		}
		into[fingerprint] = certificate
	}
	return rows.Err()
}
