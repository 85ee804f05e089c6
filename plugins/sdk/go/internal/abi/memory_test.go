// What is written for the host.

package abi

import "testing"

func TestTextThatIsNoUTF8IsWrittenAsTextAllTheSame(t *testing.T) {
	for text, expected := range map[string]string{
		"":               "",
		"äöü":            "äöü",
		"a\xffb":         "a\ufffdb",
		"cut: \xe2\x82":  "cut: \ufffd",
		"\xc3\xc3 \xc3(": "\ufffd \ufffd(",
	} {
		record := Room(1, 12)
		record.Text(0, text)
		if is := string(held[len(held)-1]); is != expected {
			t.Errorf("%q: %q", text, is)
		}
		if size := Record(record).U32(4); int(size) != len(expected) {
			t.Errorf("%q: %d bytes", text, size)
		}
	}
}

func TestBytesAreWrittenAsTheyAre(t *testing.T) {
	Room(1, 8).Bytes(0, []byte("a\xffb"))
	if is := string(held[len(held)-1]); is != "a\xffb" {
		t.Errorf("%q", is)
	}
}
