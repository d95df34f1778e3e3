package anchor

import "net/http"

// ReachThrough has the anchorer reach its server another way than over the network.
func (a *Anchorer) ReachThrough(t http.RoundTripper) { a.server.http.Transport = t }

// ProofOf reads the server's answer to an entry.
var ProofOf = proofOf
