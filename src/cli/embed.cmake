# Put the page of a report into a C file, with the SHA-256 of what its policy names:
#   cmake -DSOURCE=FOLDER -DSCRIPTS=a.js+b.js -DOUT=FILE.c -P embed.cmake
# Scripts are joined in this order.

# A definition of report_NAME, from a file.
function(embed name file)
    file(READ "${file}" hex HEX)
    file(SHA256 "${file}" sum)
    foreach(text IN ITEMS hex sum)
        string(REGEX REPLACE "(..)" "0x\\1," ${text} "${${text}}")
    endforeach()
    file(APPEND "${OUT}.new"
        "\nstatic const unsigned char ${name}_bytes[] = {${hex}};\n"
        "const report_asset report_${name} = {${name}_bytes, sizeof ${name}_bytes,\n"
        "    {${sum}}};\n")
endfunction()

string(REPLACE "+" ";" scripts "${SCRIPTS}")
set(joined "")
foreach(script IN LISTS scripts)
    file(READ "${SOURCE}/${script}" text)
    string(APPEND joined "${text}")
endforeach()
file(WRITE "${OUT}.js" "${joined}")

file(WRITE "${OUT}.new" "/* Made by embed.cmake. */\n#include \"report_assets.h\"\n")
embed(page "${SOURCE}/report.html")
embed(style "${SOURCE}/report.css")
embed(script "${OUT}.js")
file(RENAME "${OUT}.new" "${OUT}")
