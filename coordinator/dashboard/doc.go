// Package dashboard is the public face (design §1, docs/spec/http.md): pages
// for people, the same as JSON for programs, and the evidence log as C2SP
// tlog-tiles. Whoever runs it holds no key and can change nothing.
//
//	board, err := dashboard.New(dashboard.Config{Reader: reader, Logger: log})
//	…
//	server := &http.Server{Handler: board.Handler()}
//
// It knows only what its [Reader] gives, which is what the database's public
// views give: the embargo on digests is kept there, not here. Every page and
// its JSON twin are made from one value, so that neither can say more than the
// other. Pages need no script, load nothing from elsewhere and are never more
// than a database query old.
//
// Its words are careful. A state is shown by icon, word and colour together; a
// build that has not come in, or that failed, is never shown as a difference;
// and what a verdict does not prove stands beside the verdict.
package dashboard
