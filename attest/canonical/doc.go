// Package canonical reads and writes canonical JSON (RFC 8785) that says by
// itself what belongs where: statements, what carries them, and the messages
// about them describe themselves by one walk for both directions.
//
//	func (o *Opening) walk(w *canonical.Walk) {
//		canonical.Number(w, beginStatement+`{"attempt":`, &o.Attempt)
//		canonical.Word(w, `,"coordinator":`, &o.Coordinator)
//		moment(w, `,"deadline":`, &o.Deadline)
//		…
//
// Each step goes through a fixed text and then through the one spelling of a
// value. Writing, it appends both. Reading, it first guesses the value from what
// comes next and then wants to see both: a guess that is wrong only fails. So what
// was read is what writing writes, byte for byte, as decoding by reflection and
// encoding once more has it, which takes many times as long. After a step that
// fails the others do nothing.
package canonical
