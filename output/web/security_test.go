package web

import (
	"encoding/base64"
	"fmt"
)

// anna is a user whose password is "correct horse", hashed as cheaply as it goes, since these tests are not about that.
var anna = User{"anna", cheapHash("correct horse")}

func cheapHash(password string) string {
	h := hash{time: 1, memory: 8, threads: 1, salt: []byte("saltsalt")}
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", b64(h.salt), b64(h.derive(password, keySize)))
}
