package keytest

import (
	_ "embed"
)

// RSA4096PEM is a fixed RSA-4096 private key, PKCS#8 in PEM, for tests only: making one takes seconds.
//
//go:embed testdata/rsa4096.pem
var RSA4096PEM []byte
