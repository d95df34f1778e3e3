package bus

// EncodeVote writes a vote as it travels and as agents keep it.
func EncodeVote(v Vote) ([]byte, error) { return encode(v, MaxVote) }

// EncodeTask writes a task as agents keep it.
func EncodeTask(t Task) ([]byte, error) { return encode(t, MaxMessage) }

// DecodeTask reads a task. It verifies nothing beyond the form.
func DecodeTask(data []byte) (Task, error) {
	var t Task
	if err := decode(data, MaxMessage, &t); err != nil {
		return Task{}, err
	}
	if t.Opening == nil || t.Request == nil {
		return Task{}, Errorf(KindInvalid, "task holds no opening or no request")
	}
	return t, nil
}
