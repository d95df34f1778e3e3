package keytable

import "encoding/binary"

// A number below 2^256 is written with Places digits, each between -Half and
// Half-1: it is the sum of digit · 2^(Width·place).
//
// The wider the digits, the fewer points are to be added, but each bit more
// doubles a table nearly. Measured with Ed25519 keys, eight in turn, on a machine with
// 512 KiB of second-level cache, where crypto/ed25519 takes 63 µs:
//
//	width   additions   table      build    verify   of eight together
//	5       102          97 KiB    0.7 ms   26 µs    22 µs
//	6        86         161 KiB    0.9 ms   23 µs    19 µs
//	7        74         278 KiB    1.2 ms   21 µs    17 µs
//	8        64         495 KiB    2.1 ms   19 µs    15 µs
//	9        58         870 KiB    4.7 ms   18 µs    14 µs
const (
	Width  = 8
	Half   = 1 << (Width - 1)
	Places = 8*numberSize/Width + 1 // one bit more than numbers have, for the sign

	numberSize = 32
)

// Digits writes a number, given in little endian, with digits: exactly that number,
// not another one that is equal modulo the order of some point.
func Digits(number *[numberSize]byte) (out [Places]int) {
	const padded = numberSize + 8 // the last digit, too, is cut out of eight bytes
	var bytes [padded]byte
	copy(bytes[:], number[:])
	carry := 0
	for place := range out {
		bit := place * Width
		word := binary.LittleEndian.Uint64(bytes[bit/8:]) >> (bit % 8)
		digit := int(word%(2*Half)) + carry
		carry = 0
		if digit >= Half {
			digit -= 2 * Half
			carry = 1
		}
		out[place] = digit
	}
	return out
}
