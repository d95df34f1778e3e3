package keytable

import "encoding/binary"

// A number below 2^256 is written with Places digits, each between -Half and
// Half-1: it is the sum of digit · 2^(Width·place).
//
// The wider the digits, the fewer points are to be added, but each bit more
// doubles a table nearly. Measured with Ed25519 keys, eight in turn, on a machine with
// 512 KiB of second-level cache, where crypto/ed25519 takes 64 µs:
//
//	width   additions   table      build    verify
//	5       102          96 KiB    0.6 ms   25 µs
//	6        86         161 KiB    0.8 ms   24 µs
//	7        74         278 KiB    1.2 ms   21 µs
//	8        64         480 KiB    2.3 ms   22 µs
const (
	Width  = 7
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
